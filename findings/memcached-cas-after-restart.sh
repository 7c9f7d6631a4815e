#!/bin/sh
# memcached 1.6.18 (client: pymemcache 4.0.0): a cas token that is older than the server
#
# A token stands for one version of a value: cas stores only if nobody has written since. But tokens are a
# counter of the process, and begin at 1 again when it starts anew. A token from before a restart can fit a
# value that others wrote after it, and then cas overwrites that. Nothing tells.
#
# Seen:
#> before the restart: value b'10', token b'1'
#> after it, written by another: value b'3', token b'1'
#> cas with the old token: True, the value is now b'9'
#
# Nydus hands the tokens on as the server gives them. Keep none: call cas soon after gets.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0

cat >"$tmp/before.py" <<'END'
import sys

from pymemcache import Client

client = Client(sys.argv[1], timeout=5, default_noreply=False)
client.set("stock", "10")
value, token = client.gets("stock")
print(f"before the restart: value {value}, token {token}")
END
cat >"$tmp/after.py" <<'END'
import sys

from pymemcache import Client

client = Client(sys.argv[1], timeout=5, default_noreply=False)
client.set("stock", "3")
value, token = client.gets("stock")
print(f"after it, written by another: value {value}, token {token}")
print(f"cas with the old token: {client.cas('stock', '9', b'1')}, the value is now {client.get('stock')}")
END
start_memcached server
python "$tmp/before.py" "$tmp/server" >"$tmp/seen"
stop "$pid"
start_memcached server
python "$tmp/after.py" "$tmp/server" >>"$tmp/seen"
check
