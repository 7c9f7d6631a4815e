#!/bin/sh
# memcached 2.2.2 of npm, read with pylibmc 1.6.3, python-memcached 1.62 and python-binary-memcached 0.33.0: a number
#
# An item has flags, for the client's own use. The same 8 is "this is a number" to the client of Node, and
# "this is compressed" to these three of Python: they try to decompress the digits, and raise. It is the other
# way round too, but silently: what they have compressed is a number in Node, and as its bytes are no number,
# it is NaN.
#
# Seen:
#> item 'number': flags 8
#> pylibmc reads number: Error
#> python-memcached reads number: error
#> python-binary-memcached reads number: error
#> npm memcached reads what pylibmc has compressed: NaN
#
# Nydus reads values by the flags of pymemcache, or of your own serde. A host is best left to one kind of
# client.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0 pylibmc==1.6.3 python-memcached==1.62 python-binary-memcached==0.33.0
npm_with memcached@2.2.2
start_memcached_tcp

cat >"$tmp/npm/try.js" <<'END'
const Memcached = require("memcached");
const client = new Memcached("127.0.0.1:" + process.argv[3]);
const then = (use) => (failed, found) => {
  if (failed) throw failed;
  use(found);
  client.end();
};

if (process.argv[2] === "write") client.set("number", 5, 0, then(() => {}));
else client.get("large", then((found) => console.log("npm memcached reads what pylibmc has compressed:", found)));
END
node try.js write "$port"
python - "$port" >"$tmp/seen" <<'END'
import sys

import bmemcached
import memcache
import pylibmc
from pymemcache import Client

address = f"127.0.0.1:{sys.argv[1]}"
item = Client(address, timeout=5).raw_command("get number", b"END\r\n")
print("item 'number': flags", int(item.split()[2]))
for name, client in (
    ("pylibmc", pylibmc.Client([address])),
    ("python-memcached", memcache.Client([address])),
    ("python-binary-memcached", bmemcached.Client([address])),
):
    try:
        outcome = client.get("number")
    except Exception as error:
        outcome = type(error).__name__
    print(f"{name} reads number: {outcome}")
pylibmc.Client([address]).set("large", b"hello " * 100, min_compress_len=100)
END
node try.js read "$port" >>"$tmp/seen"
check
