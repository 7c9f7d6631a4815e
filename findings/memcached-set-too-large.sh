#!/bin/sh
# memcached 1.6.18 and pymemcache 4.0.0: a set whose value is too large
#
# The server refuses it with SERVER_ERROR, and deletes what the key held before. After a refused add, replace,
# append, prepend or cas the old value is still there. So "refused" is not "nothing has changed", for this one
# command only. And pymemcache's own set() does not tell: by default it asks for no answer, and returns True.
#
# Seen:
#> add: MemcacheServerError, then b'old'
#> replace: MemcacheServerError, then b'old'
#> append: MemcacheServerError, then b'old'
#> prepend: MemcacheServerError, then b'old'
#> cas: MemcacheServerError, then b'old'
#> set: MemcacheServerError, then None
#> set as it is by default: True, then None
#
# Nydus always asks for the answer, and raises the server's error. It does not say that nothing has changed.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0
start_memcached server

python - "$tmp/server" >"$tmp/seen" <<'END'
import sys

from pymemcache import Client
from pymemcache.exceptions import MemcacheServerError

client = Client(sys.argv[1], timeout=5)
LARGE = b"x" * 2_000_000  # the server takes up to a megabyte


def attempt(name, call):
    client.set("key", "old", noreply=False)
    try:
        outcome = call()
    except MemcacheServerError as error:
        outcome = type(error).__name__
    print(f"{name}: {outcome}, then {client.get('key')}")


for name in ("add", "replace", "append", "prepend"):
    attempt(name, lambda: getattr(client, name)("key", LARGE, noreply=False))
attempt("cas", lambda: client.cas("key", LARGE, client.gets("key")[1]))
attempt("set", lambda: client.set("key", LARGE, noreply=False))
attempt("set as it is by default", lambda: client.set("key", LARGE))
END
check
