"""Where a command would go, and why, without sending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

from nydus_core.command import Command
from nydus_core.delivery import Placement
from nydus_core.engines import SurfaceFactory, current_call, remember_call
from nydus_core.errors import HostListExhausted, RoutingError
from nydus_core.routers import SlotTable, Spread, stand_in

__all__ = ["Explanation", "KeyPlace", "Part", "explain"]


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where one key lives.

    Attributes:
        key: The key, as the server sees it.
        part: The part of it that decides its place: its hash tag, or all of it.
        hash: The value that the router's hash gives it; None if the rule has no single one.
        host: The name of its host; empty if the router goes by no keys.
        slot: Its slot of Redis Cluster, if the router goes by slots: then it is the hash.
    """

    key: bytes
    part: bytes
    hash: int | None
    host: str
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A command, or a part of one, that would go to one host.

    Attributes:
        host: The name of the host.
        command: The name of the command.
        keys: Its keys.
        wire: Its bytes, if the engine knows them. They may hold secret values, so the repr leaves them out.
    """

    host: str
    command: str
    keys: tuple[bytes, ...]
    wire: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a command would go. ``str()`` tells it, ``to_dict()`` gives it as plain data.

    Attributes:
        command: The name of the command: the server's own, where the engine knows that.
        wire: Its bytes, if the engine knows them. They may hold secret values, so the repr leaves them out.
        keys: Its keys, in order.
        parts: The commands for each host. Empty if it is refused, or the router takes any host.
        split: Whether it is cut into commands of their own for several hosts.
        refused: Why it would be refused; empty if it would be sent.
        router: The name of the router, which decides, or ``none``.
        by_address: Whether places depend on the hosts' addresses, so that a changed address moves keys.
        patterns: The patterns of further keys that it reads, such as ``weight_*`` of SORT. ``host`` is empty if the keys
            of a pattern may live on several hosts.
        caution: A warning about the router, where shares are known to be uneven: see ``KeyRouter.caution``; mostly empty.
    """

    command: str
    wire: bytes | None = field(repr=False)
    keys: tuple[KeyPlace, ...]
    parts: tuple[Part, ...]
    split: bool
    refused: str
    router: str
    by_address: bool
    patterns: tuple[KeyPlace, ...] = ()
    caution: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dicts, lists, text and numbers, for ``json.dumps`` and logs.

        Keys are text: bytes that are not UTF-8 are written as in ``repr``. Of the bytes of a command, which may hold secret
        values, only the number is given, as ``wire_size``.
        """
        found = asdict(self)
        for each in (found, *found["parts"]):
            wire = each.pop("wire")
            each["wire_size"] = None if wire is None else len(wire)
        plain: dict[str, Any] = _plain(found)
        return plain

    def __str__(self) -> str:
        addresses = ", by the hosts' addresses" if self.by_address else ""
        lines = [f"{self.command}, router {self.router}{addresses}"]
        lines += [f"  caution: {self.caution}"] if self.caution else []
        lines += [f"  {_place(place, 'lives on')}" for place in self.keys]
        scattered = " may live on any host" if self.refused else ""
        lines += [
            f"  keys of the pattern {_place(place, 'live on')}{scattered if not place.host else ''}"
            for place in self.patterns
        ]
        if self.refused:
            return "\n".join([*lines, f"  refused: {self.refused}"])
        if not self.parts:
            return "\n".join([*lines, "  to the next host in turn"])
        how = "split over" if self.split else "to"
        return "\n".join([*lines, f"  {how} {', '.join(part.host for part in self.parts)}"])


def _plain(found: Any) -> Any:
    if isinstance(found, bytes):
        return found.decode(errors="backslashreplace")
    if isinstance(found, dict):
        return {name: _plain(value) for name, value in found.items()}
    return [_plain(each) for each in found] if isinstance(found, list | tuple) else found


def _place(place: KeyPlace, lives_on: str) -> str:
    part = f", by {place.part!r}" if place.part != place.key else ""
    value = "" if place.hash is None else f", {'hash' if place.slot is None else 'slot'} {place.hash}"
    return f"{place.key!r} {lives_on} {place.host}{part}{value}" if place.host else repr(place.key)


class _Taken(BaseException):
    """Carries a command out of a method of a surface, past all that it does with answers."""

    def __init__(self, command: Command) -> None:
        super().__init__(command)
        self.command = command


def explain(
    make_surface: SurfaceFactory, placement: Placement, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Explanation:
    """Tell where a call would go.

    Parameters:
        make_surface: Makes the cluster's surfaces.
        placement: Where keys live.
        name: The name of the method.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The explanation, also of a call that would be refused.
    """
    try:
        command = _described(make_surface, placement, name, args, kwargs)
    except RoutingError as error:
        return _explained(placement, Command(name), refused=str(error))
    if placement.takes_any(command):
        return _explained(placement, command)
    try:
        hosts, parts, _ = placement.route(command)
    except (RoutingError, HostListExhausted) as error:
        return _explained(placement, command, refused=str(error))
    found = [
        Part(placement.names[host], part.name, tuple(part.keys), part.wire_form)
        for host, part in zip(hosts, parts, strict=True)
    ]
    return _explained(placement, command, found, split=any(part is not command for part in parts))


def _described(
    make_surface: SurfaceFactory, placement: Placement, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Command:
    def take(command: Command) -> None:
        if placement.by_call:
            command.call = current_call()
        raise _Taken(command)

    method = attrgetter(name)(make_surface(take))
    if placement.by_call:
        method = remember_call(name, method)
    try:
        method(*args, **kwargs)
    except _Taken as taken:
        return taken.command
    raise RoutingError(f"{name} sends nothing by itself, so there is nothing to explain")


def _explained(
    placement: Placement,
    command: Command,
    parts: Sequence[Part] = (),
    *,
    split: bool = False,
    refused: str = "",
) -> Explanation:
    router = placement.router
    return Explanation(
        command.name,
        command.wire_form,
        tuple(_key_place(router, key) for key in command.keys),
        tuple(parts),
        split,
        refused,
        "none" if router is None else getattr(router, "profile", "") or type(router).__name__,
        bool(getattr(router, "by_address", False)),
        tuple(_pattern_place(placement, pattern) for pattern in command.patterns),
        getattr(router, "caution", ""),
    )


def _pattern_place(placement: Placement, pattern: bytes) -> KeyPlace:
    key = stand_in(placement.router, pattern) if placement.by_keys else None
    if key is None:
        host = placement.names[0] if len(placement.names) == 1 else ""
        return KeyPlace(pattern, pattern, None, host)
    place = _key_place(placement.router, key)
    return KeyPlace(pattern, place.part, place.hash, place.host, place.slot)


def _key_place(router: Any, key: bytes) -> KeyPlace:
    part_of, hash_of = getattr(router, "part_of", None), getattr(router, "hash_of", None)
    by_key = getattr(router, "spread", Spread.ALL) is Spread.KEY
    value = hash_of(key) if hash_of else None
    return KeyPlace(
        key,
        part_of(key) if part_of else key,
        value,
        router.locate(key) if by_key else "",
        value if isinstance(router, SlotTable) else None,
    )
