"""The rule ``consistent`` of nydus 0.11 as a class to import and to subclass, under its name there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from nydus_core.routers.legacy import UNCALLED_ROUND_ROBIN
from nydus_core.routers.profiles import PROFILES
from nydus_core.routers.protocol import Node
from nydus_core.routers.ring import Ring

__all__ = ["ConsistentHashingRouter"]


class ConsistentHashingRouter(Ring):
    """Consistent hashing on a ketama ring: a host more or less moves only its own share of the keys.

    Source: nydus 0.11, ``ConsistentHashingRouter``; data written through it is found again. The ring holds the
    *identifiers* of the hosts, which are their addresses unless the setting ``identifier`` says otherwise: name
    them if the addresses may change. Keys that nydus refused (numbers) are hashed as their text.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts. Off, since nydus 0.11 knows no tags.
        label: The label of a host; see ``LabelledRouter``.
        labels: Labels that are given, by the names of hosts.

    Raises:
        ConfigError: Two hosts have one identifier, or all weights are 0.
    """

    profile: ClassVar[str] = "consistent"
    uncalled: ClassVar[Mapping[str, str]] = UNCALLED_ROUND_ROBIN
    by_address = True
    on_host_down: ClassVar[str] = "reroute"  # as in nydus 0.11: the cluster is a cache

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        hash_tags: bool = False,
        label: str = "identifier",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        options = {"hash_tags": hash_tags, "label": label, "labels": labels}
        super().__init__(nodes, **PROFILES[self.profile].settle(options))
