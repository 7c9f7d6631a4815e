#!/bin/sh
# memcached 1.6.18 at its limit of connections, and pymemcache 4.0.0
#
# A server that is full accepts the connection, says ERROR with a reason, and closes. ERROR is also its answer
# to a command that it does not know, and pymemcache takes it for that, without the reason: a server that
# needs a moment, or a larger limit, looks like one that is too old for get and set.
#
# Seen:
#> the server says b'ERROR Too many open connections\r\n'
#> pymemcache raises MemcacheUnknownCommandError: b'get'
#
# Nydus reports HostDown (not sent), with the server's words. The command is tried again, counts against the
# host, and goes to another host where the router allows that. Raise the limit (memcached -c), or limit the
# clients (max_pool_size).

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0
start_memcached server -c 64

python - "$tmp/server" >"$tmp/seen" <<'END'
import contextlib
import socket
import sys

from pymemcache import Client
from pymemcache.exceptions import MemcacheError


others = []
said = b""
while not said and len(others) < 100:
    other = socket.socket(socket.AF_UNIX)
    others.append(other)  # kept open
    other.settimeout(5)
    other.connect(sys.argv[1])
    with contextlib.suppress(OSError):  # it may have closed already
        other.sendall(b"version\r\n")
    said = other.recv(100)
    if said.startswith(b"VERSION"):
        said = b""
print("the server says", said)

for _ in range(20):
    try:
        print(Client(sys.argv[1], timeout=5).get("key"))
    except MemcacheError as error:
        print(f"pymemcache raises {type(error).__name__}: {error}")
    except OSError:
        continue  # the server has closed before it was asked
    break
END
check
