#!/bin/sh
# redis-py 8.1.0: each connection of a ConnectionPool reads the version of redis-py from the disk
#
# redis-py tells the server its own version (CLIENT SETINFO), which it looks up in the metadata of the installed package.
# A client of redis.Redis(...) does so once. A pool that is made first and given to a client, as ConnectionPool.from_url and
# many frameworks do, has no such text, so each new connection opens the file METADATA and parses it as an e-mail: on a busy
# machine 3.6 ms instead of 0.1 ms to make a connection, with redis.asyncio in the event loop.
#
# Seen:
#> 5 clients: METADATA opened 5 times
#> 5 connections of a client: METADATA opened 0 times
#> 5 connections of a pool: METADATA opened 5 times
#> 5 connections of a pool of redis.asyncio: METADATA opened 5 times
#
# Nydus gives its connections the text, from redis.__version__.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0

python >"$tmp/seen" <<'END'
import sys

import redis
import redis.asyncio

opened = 0


def look(event, args):
    global opened
    opened += event == "open" and str(args[0]).endswith("METADATA")


def count(name, make):
    global opened
    opened = 0
    for _ in range(5):
        make()
    print(f"{name}: METADATA opened {opened} times")


sys.addaudithook(look)
count("5 clients", redis.Redis)
count("5 connections of a client", redis.Redis().connection_pool.make_connection)
count("5 connections of a pool", redis.ConnectionPool().make_connection)
count("5 connections of a pool of redis.asyncio", redis.asyncio.ConnectionPool().make_connection)
END
check
