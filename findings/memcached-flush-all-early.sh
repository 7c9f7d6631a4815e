#!/bin/sh
# memcached 1.6.18 (client: pymemcache 4.0.0): flush_all with a delay of three seconds
#
# The items are to become invalid when the delay is over. They are gone one to two seconds before: the server
# counts in whole seconds, by a clock that ticks once a second, and takes one second off. A delay that is
# meant to flush the servers of a cluster one after the other shrinks by as much.
#
# Seen:
#> the item is there after half a second: True
#> the item is there after two and a half seconds: False
#
# Nydus passes the delay on. Give two seconds more where it matters.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0
start_memcached server

python - "$tmp/server" >"$tmp/seen" <<'END'
import sys
import time

from pymemcache import Client

client = Client(sys.argv[1], timeout=5, default_noreply=False)
client.set("key", "value")
time.sleep(1.5)  # what is written in the second of a flush is a matter of its own
client.flush_all(3)
for seconds, words in ((0.5, "half a second"), (2, "two and a half seconds")):
    time.sleep(seconds)
    print(f"the item is there after {words}: {client.get('key') is not None}")
END
check
