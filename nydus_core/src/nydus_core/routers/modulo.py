"""Modulo: a hash of the key, modulo the number of hosts."""

from __future__ import annotations

from collections.abc import Collection
from zlib import crc32

from nydus_core.routers.protocol import NodeRouter, hash_tag

__all__ = ["PartitionRouter"]


class PartitionRouter(NodeRouter):
    """Partition by CRC-32 of the key, modulo the number of hosts.

    The simplest rule and the fastest, for a number of hosts that never changes: a host more or less moves nearly
    every key. Hosts count in their order: by number where all their names are numbers, else as they were given.

    Source: nydus 0.11, ``PartitionRouter``. The CRC is taken as a signed number, as Python 2 did, and the modulo
    floors, so data written through nydus 0.11 is found again.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts. Off, since nydus 0.11 knows no tags.
    """

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to one of the others; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        crc = crc32(hash_tag(key) if self.hash_tags else key)
        signed = crc - ((crc & 0x80000000) << 1)
        name = self.names[signed % len(self.names)]
        if name in avoid:
            others = self.candidates(avoid)
            return others[signed % len(others)]
        return name
