#!/bin/sh
# memcached 2.2.2 of npm (read with pymemcache 4.0.0 too): a Buffer as value
#
# The client makes a text of the Buffer, a character for each byte, and sends that text as UTF-8. Each byte
# from 128 on becomes two on the server. The client itself turns them back, so that in Node all looks well,
# while every other client reads other bytes than were written: a picture or anything compressed cannot be
# opened there.
#
# Seen:
#> npm memcached wrote 00 7f 80 ff
#> npm memcached reads 00 7f 80 ff
#> pymemcache reads 00 7f c2 80 c3 bf
#
# Nydus gives out the bytes that the server has. It does not guess what another client meant.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0
npm_with memcached@2.2.2
start_memcached_tcp

cat >"$tmp/npm/write.js" <<'END'
const Memcached = require("memcached");
const client = new Memcached("127.0.0.1:" + process.argv[2]);
const value = Buffer.from([0x00, 0x7f, 0x80, 0xff]);
const shown = (buffer) => buffer.toString("hex").replace(/(..)(?!$)/g, "$1 ");

client.set("key", value, 0, (failed) => {
  if (failed) throw failed;
  console.log("npm memcached wrote", shown(value));
  client.get("key", (failed, found) => {
    if (failed) throw failed;
    console.log("npm memcached reads", shown(found));
    client.end();
  });
});
END
node write.js "$port" >"$tmp/seen"
python - "$port" >>"$tmp/seen" <<'END'
import sys

from pymemcache import Client

print("pymemcache reads", Client(("127.0.0.1", int(sys.argv[1])), timeout=5).get("key").hex(" "))
END
check
