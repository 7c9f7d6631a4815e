"""Hash slots as in Redis Cluster: a key has one of 16384 slots, and a host has ranges of them."""

from __future__ import annotations

import math
import re
from binascii import crc_hqx
from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from typing import Any, ClassVar

from nydus_core.errors import ConfigError
from nydus_core.routers.keyed import KeyRouter
from nydus_core.routers.protocol import Node, hash_tag, wrong_key
from nydus_core.routers.shares import single
from nydus_core.wording import written

__all__ = ["LAST", "SLOTS", "SlotTable", "Slots", "given_owners", "slot_of"]

#: The number of slots, and the last of them. CRC-16 ``& LAST`` is a slot.
SLOTS, LAST = 16384, 16383


def slot_of(key: bytes) -> int:
    """Return the slot of a key, 0 to 16383, as ``CLUSTER KEYSLOT`` does: CRC-16/XMODEM of the hash tag or the key.

    Source: the Redis Cluster specification, *Key distribution model*.
    """
    return crc_hqx(hash_tag(key), 0) & LAST


class SlotTable(KeyRouter):
    """A rule with a host for each slot: the common part of ``Slots`` and ``RendezvousSlots``."""

    family: ClassVar[str] = "slots"
    weighted: ClassVar[bool] = True

    #: The name of the host of each slot.
    table: tuple[str, ...]
    _owners: tuple[str, ...]

    def _give(self, table: Sequence[str]) -> None:
        """Take the name of the host of each slot."""
        self.table = tuple(table)
        self._owners = tuple(dict.fromkeys(table))

    def hash_of(self, key: bytes) -> int:
        """Return the slot of a key."""
        return crc_hqx(self.part_of(key), 0) & LAST

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to another host; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        try:
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            slot = crc_hqx(key, 0) & LAST
            name = self.table[slot]
            return self._other(slot, avoid) if avoid and name in avoid else name
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None

    def locate_all(self, keys: Sequence[bytes]) -> Sequence[str]:
        """Return the names of the hosts of many keys. See ``KeyRouter.locate_all``."""
        table = self.table
        if self._part is not None and (self._mark is None or self._mark in b"".join(keys)):
            keys = [*map(self.part_of, keys)]
        return [table[hashed & LAST] for hashed in map(crc_hqx, keys, repeat(0))]

    def _other(self, slot: int, avoid: Collection[str]) -> str:
        """Return the name of the host of a slot whose own host is to be avoided."""
        raise NotImplementedError

    def ranges(self) -> dict[str, list[str]]:
        """Return the slots of each host that has some, in the form of the option ``slots``: ``{'a': ['0-5460', '7000']}``."""
        found: dict[str, list[str]] = {}
        first = 0
        for slot, name in enumerate(self.table):
            if slot == SLOTS - 1 or self.table[slot + 1] != name:
                found.setdefault(name, []).append(f"{first}-{slot}" if first < slot else f"{slot}")
                first = slot + 1
        return found

    def owners(self) -> Collection[str]:
        """Return the names of the hosts that have a slot."""
        return self._owners

    def placement(self) -> list[Any]:
        """Return the host of each slot."""
        return [self.table]


class Slots(SlotTable):
    """Slots of Redis Cluster, over hosts that are servers of their own.

    Without ``slots`` the hosts get equal ranges, in host order, as ``redis-cli --cluster create`` deals them;
    with weights each host gets its share. With ``slots`` keys move only when you move their slots.

    Parameters:
        nodes: The hosts, in host order.
        slots: The slots of each host by its name, such as ``{'a': ['0-99', 200], 'b': [[100, 199], '201-16383']}``: numbers,
            and ranges with both ends included. Every slot has to be given, once.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or a slot has no host or two hosts.
    """

    def __init__(
        self, nodes: Sequence[Node], *, slots: Mapping[str, Any] | None = None, **key_options: Any
    ) -> None:
        super().__init__(nodes, **key_options)
        self._given = slots is not None
        if slots is None:
            self._give([self.names[host] for host in dealt([node.weight for node in nodes])])
        else:
            self._give(given_owners(slots, self.names))

    def _other(self, slot: int, avoid: Collection[str]) -> str:
        left = [name for name in self._owners if name not in avoid]
        if not left:
            raise self._none_left()
        return left[slot % len(left)]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {**({"slots": self.ranges()} if self._given else {}), **super().parameters()}


def dealt(weights: Sequence[float]) -> list[int]:
    """Return, for each slot, the position of its host. Each host has one range, as long as its weight asks for.

    A range ends at the sum of the shares so far, kept in 32-bit floats and rounded; the last host takes the rest.
    Source: redis-cli 7.0, ``clusterManagerCommandCreate``.

    Parameters:
        weights: The weights of the hosts; redis-cli knows equal weights only.
    """
    table: list[int] = []
    reached, total = 0.0, sum(weights)
    last = max(host for host, weight in enumerate(weights) if weight)
    for host, weight in enumerate(weights[: last + 1]):
        share = single(SLOTS * weight / total)
        end = SLOTS if host == last else min(_rounded(single(single(reached + share) - 1)) + 1, SLOTS)
        table += [host] * max(end - len(table), 0)
        reached = single(reached + share)
    return table


def _rounded(number: float) -> int:
    """Return the nearest whole number, halves upwards."""
    return math.floor(number + 0.5)


def given_owners(slots: Any, names: Sequence[str]) -> list[str]:
    """Return the host of each slot, as the settings give the slots.

    Parameters:
        slots: The slots of each host, by its name.
        names: The names of the hosts.

    Raises:
        ConfigError: The slots are in no such form, or a slot has no host or two hosts.
    """
    if not isinstance(slots, Mapping):
        raise ConfigError(f"found {type(slots).__name__}; expected a dict of ranges by host", "router.slots")
    table: list[str] = [""] * SLOTS
    for name, ranges in slots.items():
        path = f"router.slots[{name!r}]"
        if name not in names:
            raise ConfigError(f"there is no host {name!r}; hosts: {', '.join(names)}", "router.slots")
        if not isinstance(ranges, Sequence) or isinstance(ranges, str):
            raise ConfigError(f"found {written(ranges)}; expected a list of slots and of ranges", path)
        for each in ranges:
            for slot in _range(each, path):
                if table[slot]:
                    raise ConfigError(f"slot {slot} is given to {table[slot]!r} already", path)
                table[slot] = name
    if "" in table:
        raise ConfigError(
            f"slot {table.index('')} has no host; expected all of 0 to {SLOTS - 1}", "router.slots"
        )
    return table


_TEXT = re.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?")


def _range(given: Any, path: str) -> range:
    ends = [given, given] if isinstance(given, int) else given
    if isinstance(given, str) and (found := _TEXT.fullmatch(given)):
        ends = [int(found[1]), int(found[2] or found[1])]
    if (
        not isinstance(ends, Sequence)
        or len(ends) != 2
        or not all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
        or not 0 <= ends[0] <= ends[1] < SLOTS
    ):
        raise ConfigError(
            f"found {written(given)}; expected a slot, or the first and the last of a range, such as '0-5460'",
            path,
        )
    return range(ends[0], ends[1] + 1)
