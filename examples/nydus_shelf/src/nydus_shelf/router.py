"""The router: a rule that says where a key lives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from nydus_core.routers import Node, NodeRouter

__all__ = ["ByPrefix"]


class ByPrefix(NodeRouter):
    """Keys that begin alike live together: ``user:1`` and ``user:2``, ``page:home`` and ``page:about``.

    The host with the highest score for the prefix has the key (rendezvous hashing). So a host that is to be avoided
    moves only its own keys.

    Parameters:
        nodes: The hosts, in host order.
        separator: The text that ends the prefix. A key without a separator is its own prefix.
    """

    def __init__(self, nodes: Sequence[Node], *, separator: str = ":") -> None:
        super().__init__(nodes)
        self.separator = separator.encode()

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to."""
        prefix = key.partition(self.separator)[0]
        return max(self.candidates(avoid), key=lambda name: blake2b(name.encode() + b":" + prefix).digest())
