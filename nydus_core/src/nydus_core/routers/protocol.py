"""The protocol of routers. A router is a pure function from a key to the name of a host.

A router knows names, weights and addresses of hosts. It does not know their health: the caller gives
``avoid``, the hosts not to choose. It knows no commands and no sockets.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from nydus_core.errors import ConfigError, HostListExhausted
from nydus_core.routers.rules import digest
from nydus_core.routers.subclasses import definer, given_tags, is_built_in, options_told
from nydus_core.wording import written

__all__ = [
    "Node",
    "NodeRouter",
    "Router",
    "Spread",
    "hash_tag",
    "refuse_weights",
    "where",
    "whole_weights",
    "wrong_key",
]


class Spread(enum.Enum):
    """How a router spreads commands over hosts."""

    #: each key lives on one host
    KEY = "key"
    #: the hosts are interchangeable, and each command goes to the next host
    ANY = "any"
    #: each command goes to every host
    ALL = "all"


class Node(NamedTuple):
    """A host as a router sees it.

    Attributes:
        name: The identity of the host, chosen by the operator; by default the key in ``hosts``.
        weight: The share of the keys, relative to other hosts.
        identifier: A text that names the address, for rules that hash addresses. Never holds a password.
        address: ``host:port``, or the path of a unix socket; for the rules of clients that hash it.
        db: The number of the database, on a server with several.
    """

    name: str
    weight: float = 1
    identifier: str = ""
    address: str = ""
    db: int = 0


@runtime_checkable
class Router(Protocol):
    """A rule that places keys.

    A class of this protocol is called with the nodes, in host order, and the options from the settings.
    """

    @property
    def spread(self) -> Spread:
        """The way that commands spread over hosts."""
        ...

    @property
    def hash_tags(self) -> bool:
        """Whether only the part of a key between braces counts, as in Redis Cluster."""
        ...

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        Parameters:
            key: The key, as the server sees it.
            avoid: The names of hosts that must not be chosen.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        ...


class NodeRouter:
    """A router to start from: keeps the nodes and their names.

    A rule of your own is a subclass with one method::

        class ByLength(NodeRouter):
            def locate(self, key, avoid=()):
                names = self.candidates(avoid)
                return names[len(key) % len(names)]

    A subclass may take options of its own in ``__init__``. They are part of the rule and of the fingerprint. With
    ``hash_tags`` the ``locate`` of a subclass is given the hash tag of a key instead of the key.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts.

    Raises:
        ConfigError: A host has a weight, and the rule knows none; or an option is of a wrong type; or an option of a
            subclass is no plain data, and the subclass defines no ``parameters``.
    """

    spread: ClassVar[Spread] = Spread.KEY
    #: The default when the host of a command is down: ``'raise'``, or ``'reroute'`` to another host.
    on_host_down: ClassVar[str] = "raise"
    #: Whether weights count. If not, a host with a weight is refused: no weight is ignored.
    weighted: ClassVar[bool] = False
    #: Whether the rule hashes addresses or identifiers. If so, a host whose address changes loses its place.
    by_address: bool = False
    #: Methods of the same class in nydus 0.11 that nobody calls any more. A subclass that defines one is refused.
    uncalled: ClassVar[Mapping[str, str]] = {}
    #: The options that a subclass of another package was made with.
    _own_options: Mapping[str, Any] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        locate = vars(cls).get("locate")
        if locate is not None and not is_built_in(cls):
            cls.locate = given_tags(locate)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        made = super().__new__(cls)
        has_options = not is_built_in(definer(cls, "__init__"))
        if has_options and (args or options) and is_built_in(definer(cls, "parameters")):
            made._own_options = options_told(cls, args, options)
        return made

    def __init__(self, nodes: Sequence[Node], *, hash_tags: bool = False) -> None:
        if not self.weighted:
            refuse_weights(nodes, type(self).__name__)
        elif not any(node.weight for node in nodes):
            raise ConfigError("all weights are 0; expected one host or more with a weight above 0", "hosts")
        if not isinstance(hash_tags, bool):
            raise ConfigError(f"found {written(hash_tags)}; expected true or false", "router.hash_tags")
        self.nodes = tuple(nodes)
        self.names = tuple(node.name for node in nodes)
        self.hash_tags = hash_tags

    def candidates(self, avoid: Collection[str]) -> tuple[str, ...]:
        """Return the names of the hosts that are not to be avoided, in host order.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        if not avoid:
            return self.names
        names = tuple(name for name in self.names if name not in avoid)
        if not names:
            raise HostListExhausted(f"all {len(self.names)} hosts are to be avoided: {', '.join(self.names)}")
        return names

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to. See ``Router.locate``."""
        raise NotImplementedError(f"{type(self).__name__} has to define locate(key, avoid)")

    def part_of(self, key: bytes) -> bytes:
        """Return the part of a key that decides its place: with ``hash_tags`` its hash tag, else all of it."""
        return self._tag_of(key) if self.hash_tags else key

    def _tag_of(self, key: bytes) -> bytes:
        return hash_tag(key)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data; for ``rule`` and ``fingerprint``.

        The options that a subclass was made with are added. A subclass whose options are no plain data, such as functions,
        defines this method: ``{**super().parameters(), 'separator': self.separator}``.
        """
        return {"hash_tags": self.hash_tags}

    def rule(self) -> dict[str, Any]:
        """Return the whole rule as plain data, to keep or to compare: see ``differences``.

        Returns:
            ``family`` (the class), ``profile`` (its name; empty if there is none), ``parameters``, and ``hosts``:
            for each host its ``name``, its ``weight``, and its ``label`` if that is not the name.
        """
        return {
            "family": f"{type(self).__module__}.{type(self).__qualname__}",
            "profile": "",
            "parameters": {**self._own_options, **self.parameters()},
            "hosts": [self._host(node) for node in self.nodes],
        }

    def _host(self, node: Node) -> dict[str, Any]:
        label = {"label": node.identifier} if self.by_address else {}
        return {"name": node.name, "weight": node.weight, **label}

    @cached_property
    def fingerprint(self) -> str:
        """A short text for the placement of keys, such as ``'slots:176cbae4d8a75ac1'``.

        The text is the same in any process and on any version of Python. Routers of this package have equal
        fingerprints exactly when they place all keys alike: the order of the hosts of ``slots`` makes no
        difference, and does not count. The fingerprint of a router of your own changes with anything in ``rule``.
        """
        rule = self.rule()
        return f"{type(self).__name__}:{digest(rule)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {len(self.names)} host{'s' * (len(self.names) != 1)}>"


def wrong_key(key: object, error: Exception) -> Exception:
    """Return the error for a key that is no ``bytes``; for a key that is, the error that was raised.

    A rule looks at nothing of a key beforehand, for it is asked for every key. Python's own error tells of bytes and integers.
    """
    if isinstance(key, bytes):
        return error
    instead = f"write {key.encode()!r}" if isinstance(key, str) else "write a key as the server sees it"
    return TypeError(f"locate() takes a key in bytes; found {key!r}: {instead}")


def refuse_weights(nodes: Sequence[Node], rule: str) -> None:
    """Refuse hosts that have a weight.

    Parameters:
        nodes: The hosts.
        rule: The name of the rule that knows no weights.

    Raises:
        ConfigError: A host has a weight other than 1.
    """
    for node in nodes:
        if node.weight != 1:
            raise ConfigError(
                f"found {node.weight}; {rule} knows no weights: leave it out, or choose a router "
                "that does, such as 'slots'",
                f"{where(node)}.weight",
            )


def whole_weights(nodes: Sequence[Node], rule: str) -> list[int]:
    """Return the weights of hosts as whole numbers.

    Parameters:
        nodes: The hosts.
        rule: The name of the rule that needs whole weights.

    Raises:
        ConfigError: A weight is not whole, or together they are more than a million: the rule has a table of that size.
    """
    for node in nodes:
        if node.weight != int(node.weight):
            raise ConfigError(
                f"found {node.weight}; {rule} takes whole weights only", f"{where(node)}.weight"
            )
    weights = [int(node.weight) for node in nodes]
    if sum(weights) > _MOST_WEIGHT:
        heaviest = max(nodes, key=lambda node: node.weight)
        raise ConfigError(
            f"found {heaviest.weight}; {rule} takes weights of {_MOST_WEIGHT:,} together: only their ratios count",
            f"{where(heaviest)}.weight",
        )
    return weights


_MOST_WEIGHT = 1_000_000


def where(node: Node) -> str:
    """Return the place of a host in the settings, such as ``hosts['a']``."""
    return f"hosts[{node.name if node.name.isdecimal() else repr(node.name)}]"


def hash_tag(key: bytes) -> bytes:
    """Return the part of a key that decides its place: between the first ``{`` and the next ``}``.

    If there is no such part, or it is empty, the whole key. Source: the Redis Cluster specification, *Hash tags*.
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key
