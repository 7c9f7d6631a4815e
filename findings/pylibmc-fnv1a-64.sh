#!/bin/sh
# pylibmc 1.6.3 (with the libmemcached in its wheel): hash fnv1a_64
#
# libmemcached computes this 64-bit hash in 32 bits: it keeps the lower half of both constants, so that hardly
# anything is mixed. Keys that differ only in their last characters, as counted ones do, crowd together. Of
# three equal servers one gets nothing. All other hashes, fnv1_64 too, spread the same keys evenly.
#
# Seen:
#> default: even
#> md5: even
#> crc: even
#> fnv1_64: even
#> fnv1a_64: [890, 110, 0]
#> fnv1_32: even
#> fnv1a_32: even
#> murmur: even
#
# Nydus's libmemcached profiles reproduce it, to read what is there. Choose any other hash for new clusters.

. "$(dirname "$0")/lib.sh"
python_with pylibmc==1.6.3
for server in one two three; do
    start_memcached $server
done

python - "$tmp" >"$tmp/seen" <<'END'
import sys

import pylibmc

PATHS = [f"{sys.argv[1]}/{name}" for name in ("one", "two", "three")]

for name in ("default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "murmur"):
    client = pylibmc.Client(PATHS, behaviors={"hash": name})
    keys = [f"user:{i}" for i in range(1000)]
    for key in keys:
        client.set(key, "x")
    homes = [len(pylibmc.Client([path]).get_multi(keys)) for path in PATHS]
    for key in keys:
        client.delete(key)
    print(f"{name}: {'even' if max(homes) < 400 else homes}")
END
check
