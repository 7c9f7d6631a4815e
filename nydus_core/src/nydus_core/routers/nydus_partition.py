"""The rule ``partition`` of nydus 0.11 as a class to import and to subclass, under its name there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar
from zlib import crc32

from nydus_core.routers.legacy import UNCALLED
from nydus_core.routers.modulo import Modulo
from nydus_core.routers.profiles import PROFILES
from nydus_core.routers.protocol import Node, wrong_key

__all__ = ["PartitionRouter"]


class PartitionRouter(Modulo):
    """Partition by CRC-32 of the key, modulo the number of hosts.

    The simplest rule and the fastest, for a number of hosts that never changes: a host more or less moves nearly
    every key. Hosts count in their order: by number where all their names are numbers, else as they were given.

    Source: nydus 0.11, ``PartitionRouter``. The CRC is taken as a signed number, as Python 2 did, and the modulo
    floors, so data written through nydus 0.11 is found again. A host of weight 3 counts as three.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts. Off, since nydus 0.11 knows no tags.
    """

    profile: ClassVar[str] = "partition"
    uncalled: ClassVar[Mapping[str, str]] = UNCALLED

    def __init__(self, nodes: Sequence[Node], *, hash_tags: bool = False) -> None:
        super().__init__(nodes, **PROFILES[self.profile].settle({"hash_tags": hash_tags}))

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to. The everyday case of ``Modulo.locate``, in one step."""
        if avoid or self._part is not None:
            return super().locate(key, avoid)
        try:
            crc = crc32(key)
        except TypeError as error:
            raise wrong_key(key, error) from None
        return self._table[(crc - ((crc & 0x80000000) << 1)) % self._count]
