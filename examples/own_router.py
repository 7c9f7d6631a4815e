"""A placement rule of your own: each customer's keys on the host that was sold to them. python examples/own_router.py."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nydus.db import create_cluster
from nydus_core.routers import ConsistentHashingRouter, Node


class Tenants(ConsistentHashingRouter):
    """Customers with a host of their own live there; all the others share the ring.

    Parameters:
        nodes: The hosts, in host order.
        homes: The names of hosts, by customer. A key is ``customer:anything``.
    """

    def __init__(self, nodes: Sequence[Node], *, homes: Mapping[str, str]) -> None:
        super().__init__([node for node in nodes if node.name not in homes.values()])
        self.homes = {customer.encode(): host for customer, host in homes.items()}

    def parameters(self) -> dict[str, Any]:
        """The options of the rule: part of the fingerprint, which so tells when a customer moves."""
        homes = {customer.decode(): host for customer, host in self.homes.items()}
        return {**super().parameters(), "homes": homes}

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        home = self.homes.get(key.partition(b":")[0])
        return home if home and home not in avoid else super().locate(key, avoid)


settings = {
    "engine": "embedded",
    "router": {"name": Tenants, "homes": {"acme": "large"}},
    "hosts": {"small-1": {}, "small-2": {}, "large": {}},
}
with create_cluster(settings) as cluster:
    for customer in ("acme", "bloggs", "carter", "doe"):
        with cluster.map() as conn:
            for number in range(100):
                conn.set(f"{customer}:{number}", number)
    print(dict(zip(cluster, cluster.dbsize(), strict=True)))
    assert cluster.on("large").dbsize() == 100
