#!/bin/sh
# pymemcache 4.0.0 (HashClient) and uhashring 2.5: the key 'foo' and the key b'foo'
#
# On the wire both are the same three bytes, and a single server takes them for one key. These two libraries
# make the text of the key to hash it, and the text of b'foo' is b'foo' with its b and its quotes. So one key
# has two homes: what was written by the one is not found by the other.
#
# Seen:
#> pymemcache 4.0.0: set(key, 'value') as text; get(key) as text b'value', as bytes None
#> pymemcache 4.0.0: 484 of 1000 keys live on another server as bytes
#> uhashring 2.5: 673 of 1000 keys live on another server as bytes
#
# Nydus routes by the bytes that are sent, and its profiles pymemcache and uhashring place all keys as their
# text.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0 uhashring==2.5
start_memcached one
start_memcached two

python - "$tmp" >"$tmp/seen" <<'END'
import sys
from importlib.metadata import version

from pymemcache import HashClient
from uhashring import HashRing


def elsewhere(locate):
    keys = [f"user:{i}" for i in range(1000)]
    moved = sum(locate(key) != locate(key.encode()) for key in keys)
    return f"{moved} of {len(keys)} keys live on another server as bytes"


servers = HashClient([f"{sys.argv[1]}/{name}" for name in ("one", "two")])
locate = servers.hasher.get_node
key = next(key for key in map(str, range(100)) if locate(key) != locate(key.encode()))
servers.set(key, "value")
got = f"get(key) as text {servers.get(key)}, as bytes {servers.get(key.encode())}"
print(f"pymemcache {version('pymemcache')}: set(key, 'value') as text; {got}")
names = HashClient(["cache-1:11211", "cache-2:11211"])
print(f"pymemcache {version('pymemcache')}: {elsewhere(names.hasher.get_node)}")
ring = HashRing(["cache-1", "cache-2", "cache-3"])
print(f"uhashring {version('uhashring')}: {elsewhere(ring.get_node)}")
END
check
