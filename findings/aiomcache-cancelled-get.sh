#!/bin/sh
# aiomcache 0.8.2: one get that is cancelled while it waits for its answer
#
# The connection goes back to the pool although an answer is still to come on it. The next get reads that one,
# and so each one after it reads the answer to the one before. aiomcache looks for its own key in what it
# reads, does not find it, and returns None: keys that are there read as missing, until the connection is
# closed.
#
# Seen:
#> without a cancelled get: 20 of 20 keys found
#> after a cancelled get: 0 of 20 keys found
#
# Nydus closes the connection of a task that is cancelled. Its client for asyncio is its own.

. "$(dirname "$0")/lib.sh"
python_with aiomcache==0.8.2
start_memcached_tcp

python - "$port" >"$tmp/seen" <<'END'
import asyncio
import sys

import aiomcache

KEYS = [b"key-%d" % i for i in range(20)]


async def found(client):
    values = [await asyncio.wait_for(client.get(key), 5) for key in KEYS]
    return f"{sum(value is not None for value in values)} of {len(KEYS)} keys found"


async def main():
    client = aiomcache.Client("127.0.0.1", int(sys.argv[1]), pool_size=1)
    for key in (b"first", *KEYS):
        await client.set(key, b"value")
    print("without a cancelled get:", await found(client))
    task = asyncio.create_task(client.get(b"first"))
    await asyncio.sleep(0)  # the task sends, and waits
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("after a cancelled get:", await found(client))
    await client.close()


asyncio.run(main())
END
check
