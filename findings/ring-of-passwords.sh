#!/bin/sh
# rb 1.11.0 (with redis-py 4.6.0) and python-binary-memcached 0.33.0: giving the servers a password
#
# Both place keys on a hash ring, and both hash the password as a part of the server's name: rb hashes the
# repr of its record of the host, python-binary-memcached adds user and password to the address. To set or
# change a password moves most keys to other servers, as if all servers had been replaced. A client that still
# has the old one looks elsewhere.
#
# Seen:
#> rb 1.11.0: 721 of 1000 keys move
#> python-binary-memcached 0.33.0: 680 of 1000 keys move
#
# Nydus hashes names that you give, or an identifier without the password.

. "$(dirname "$0")/lib.sh"
python_with rb==1.11.0 redis==4.6.0 python-binary-memcached==0.33.0 uhashring==2.5

python - >"$tmp/seen" <<'END'
from importlib.metadata import version

import bmemcached
import rb
from rb.router import ConsistentHashingRouter

KEYS = [f"user:{i}" for i in range(1000)]
ADDRESSES = [f"cache:{port}" for port in (11211, 11212, 11213)]


def of_rb(password):
    hosts = {i: {"host": "redis", "port": 6379 + i, "password": password} for i in range(3)}
    router = rb.Cluster(hosts, router_cls=ConsistentHashingRouter).get_router()
    return [router.get_host_for_key(key) for key in KEYS]


def of_bmemcached(user, password):
    client = bmemcached.DistributedClient(ADDRESSES, user, password)
    return [client._get_server(key).server for key in KEYS]


for name, before, after in (
    ("rb", of_rb(None), of_rb("secret")),
    ("python-binary-memcached", of_bmemcached(None, None), of_bmemcached("user", "secret")),
):
    moved = sum(old != new for old, new in zip(before, after))
    print(f"{name} {version(name)}: {moved} of {len(KEYS)} keys move")
END
check
