#!/bin/sh
# pymemcache 4.0.0: HashClient with ignore_exc=False, and a server that is down
#
# The option says that errors are to be raised. For the first call it is so. For the next second, which is the
# default of retry_timeout, calls are answered without asking the server: get with None, get_many with {},
# incr and delete with False, as if the key were not there. A program cannot tell a lost server from a miss,
# nor count the errors.
#
# Seen:
#> get: FileNotFoundError
#> get: None
#> gets: None
#> get_many: {}
#> set: False
#> incr: False
#> delete: False
#
# Nydus raises HostDown for every one of them, and refuses the option ignore_exc.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0

python - "$tmp/nobody" >"$tmp/seen" <<'END'
import sys

from pymemcache import HashClient

# Ten seconds instead of one, so that a slow machine sees the same.
servers = HashClient([sys.argv[1]], ignore_exc=False, retry_timeout=10)
for name, args in (
    ("get", ["key"]),
    ("get", ["key"]),
    ("gets", ["key"]),
    ("get_many", [["key"]]),
    ("set", ["key", "value"]),
    ("incr", ["key", 1]),
    ("delete", ["key"]),
):
    try:
        outcome = getattr(servers, name)(*args)
    except OSError as error:
        outcome = type(error).__name__
    print(f"{name}: {outcome}")
END
check
