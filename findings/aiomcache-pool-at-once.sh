#!/bin/sh
# aiomcache 0.8.2: a pool of ten connects a hundred times when a hundred tasks begin at once
#
# A task opens a connection where the pool has not its number yet. The number counts connections that are open, not those that
# are being opened, so tasks that begin in the same turn of the loop all connect. Connections beyond the number are closed without
# a command. A server with few connections to give (-c) turns other clients away meanwhile.
#
# Seen:
#> 100 gets, one after the other, by a pool of 10: 10 connections
#> 100 gets at once, by a pool of 10: at least 100 connections, 10 of them are left
#
# With asyncio all tasks of Nydus share one connection to a host; without batching a place is taken before anybody connects.

. "$(dirname "$0")/lib.sh"
python_with aiomcache==0.8.2
start_memcached_tcp

python - "$port" >"$tmp/seen" <<'END'
import asyncio
import sys

import aiomcache

PORT = int(sys.argv[1])


async def opened(stats, name):
    """The connections of a server, without the one that asks."""
    return int((await stats.stats())[name]) - 1


async def main():
    stats = aiomcache.Client("127.0.0.1", PORT, pool_size=1)
    await stats.get(b"k")
    before, left_before = await opened(stats, b"total_connections"), await opened(stats, b"curr_connections")
    client = aiomcache.Client("127.0.0.1", PORT, pool_size=10)
    for _ in range(100):
        await client.get(b"k")
    made = await opened(stats, b"total_connections") - before
    print(f"100 gets, one after the other, by a pool of 10: {made} connections")
    await client.close()
    before = await opened(stats, b"total_connections")
    client = aiomcache.Client("127.0.0.1", PORT, pool_size=10)
    await asyncio.gather(*(client.get(b"k") for _ in range(100)))
    made = await opened(stats, b"total_connections") - before
    await asyncio.sleep(0.5)  # the server learns of the ends
    left = await opened(stats, b"curr_connections") - left_before
    many = "at least 100" if made >= 100 else str(made)
    print(f"100 gets at once, by a pool of 10: {many} connections, {left} of them are left")
    await client.close()
    await stats.close()


asyncio.run(main())
END
check
