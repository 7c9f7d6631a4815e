"""A program with a host that is lost, a host that is slow, and a host that refuses: python examples/failures.py."""

from nydus.db import create_cluster
from nydus_core import CommandError, HostDown, MaybeApplied
from nydus_core.command import Outcome

SETTINGS = {"engine": "embedded", "router": "partition", "hosts": 3, "defaults": {"timeout": 0.2}}
KEYS = [f"page:{number}" for number in range(9)]

with create_cluster(SETTINGS) as cluster:
    cluster.ping()

    print("A server refuses one command of many:")
    cluster.set("word", "hello")
    try:
        with cluster.map() as conn:
            good, bad = conn.incr("number"), conn.incr("word")
    except CommandError as error:
        print(f"  {error.errors[0]}; the other one is {good}")

    print("A server does not answer in time:")
    cluster.on(int(cluster.router.locate(b"number"))).client_pause(500)
    try:
        cluster.incr("number")
    except MaybeApplied as error:
        print(f"  {error}")

with create_cluster(SETTINGS) as cluster:
    print("A host is lost:")
    cluster.ping()
    cluster.hosts[1].server.stop()  # type: ignore[attr-defined]  # the embedded engine has a server
    with cluster.map(fail_silently=True) as conn:
        pages = {key: conn.incr(key) for key in KEYS}
    for key, page in pages.items():
        print(f"  {key}: {page.value if page.outcome is Outcome.VALUE else page.outcome.value}")

    lost = next(key for key, page in pages.items() if page.error)
    try:
        cluster.get(lost)
    except HostDown as error:
        print(f"  {error}")
