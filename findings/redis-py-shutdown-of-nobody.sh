#!/bin/sh
# redis-py 8.1.0: shutdown() of a server that is not there
#
# shutdown() takes any lost connection for the end of the server. So it returns None, as after a success, also where no
# server was reached and nothing was sent. A program that shuts down a server of a wrong address believes it is done.
#
# Seen:
#> ping: ConnectionError
#> shutdown: returned None
#> shutdown, asyncio: returned None
#
# Nydus raises HostDown: nothing was sent.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0

python -W ignore - "$tmp/nobody" >"$tmp/seen" <<'END'
import asyncio
import sys

import redis
import redis.asyncio

path = sys.argv[1]


async def shutdown():
    async with redis.asyncio.Redis(unix_socket_path=path) as client:
        return await client.shutdown(nosave=True)


def told(name, call):
    try:
        print(f"{name}: returned {call()}")
    except redis.RedisError as error:
        print(f"{name}: {type(error).__name__}")


client = redis.Redis(unix_socket_path=path)
told("ping", client.ping)
told("shutdown", lambda: client.shutdown(nosave=True))
told("shutdown, asyncio", lambda: asyncio.run(shutdown()))
END
check
