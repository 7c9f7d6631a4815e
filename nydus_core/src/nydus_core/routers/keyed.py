"""The common part of the rules by key: the part of a key that counts, the labels of hosts, and fingerprints.

A family of rules is a class whose parameters are plain data. A *profile* is a family under the name of a
client, with that client's parameters: a row of the table in ``profiles``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nydus_core.checks import choose
from nydus_core.errors import ConfigError, HostListExhausted
from nydus_core.redaction import without_userinfo
from nydus_core.routers.labels import BY_ADDRESS, LABELS, labels_of
from nydus_core.routers.protocol import Node, NodeRouter
from nydus_core.routers.rules import digest
from nydus_core.routers.tags import FORMS, TAGS, between

if TYPE_CHECKING:
    from nydus_core.routers.hashes import Hash

__all__ = ["KeyRouter", "LabelledRouter", "hash_named"]


#: For a kind of hash tag, a byte that every key with such a tag holds. To look for a byte is quick.
_MARKS = dict.fromkeys(("redis", "jedis", "django-redis", "phpredis"), ord("{"))


class KeyRouter(NodeRouter):
    """A rule that hashes keys.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts.
        tags: The client whose rule finds that part: ``redis``, ``jedis``, ``django-redis`` or ``phpredis``.
        hash_tag: The two characters around that part, as in twemproxy; instead of ``hash_tags`` and ``tags``.
        prefix: A text that is hashed before the key.
        keys: ``bytes`` to hash keys as they are; ``text`` for clients that turn keys into text with ``str``;
            ``mcrouter`` for the routing keys of mcrouter.
        empty: The hash of the empty key: ``hashed`` like any other, or ``zero``.

    Raises:
        ConfigError: An option is wrong.
    """

    #: The name of the family in fingerprints and rules.
    family: ClassVar[str] = ""
    #: The name of the profile in the settings; empty for a family as such.
    profile: ClassVar[str] = ""
    #: A warning about shares that are known to be uneven; empty if none is.
    caution: str = ""

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        hash_tags: bool = False,
        tags: str = "redis",
        hash_tag: str = "",
        prefix: str = "",
        keys: str = "bytes",
        empty: str = "hashed",
    ) -> None:
        super().__init__(nodes, hash_tags=hash_tags or bool(hash_tag))
        choose(TAGS, tags, "router.tags")
        form = choose(FORMS, keys, "router.keys")
        choose({"hashed": 0, "zero": 0}, empty, "router.empty")
        if not isinstance(prefix, str):
            raise ConfigError(f"found {type(prefix).__name__}; expected text", "router.prefix")
        self._key_rule: dict[str, Any] = {
            "tags": ("redis" if hash_tag == "{}" else hash_tag) or tags if self.hash_tags else "",
            "prefix": prefix,
            "keys": keys,
            "empty": empty,
        }
        steps: list[Callable[[bytes], bytes]] = []
        if self.hash_tags:
            self._tag = between(hash_tag) if hash_tag else TAGS[tags]
            steps.append(self._tag)
        if prefix:
            steps.append(prefix.encode().__add__)
        if form is not None:
            steps.append(form)
        self._part = _chained(steps)
        #: A key without this byte is hashed as it is: there is no hash tag to look for.
        self._mark = _MARKS.get(self._key_rule["tags"]) if len(steps) == 1 else None

    def _hash_of_keys(self, name: str) -> Callable[[bytes], int]:
        """Return the hash function of that name, for keys."""
        found = hash_named(name)
        function = found.function
        if self.family in found.crowds:
            self.caution = (
                f"under hash {name!r} keys that begin alike crowd on few hosts, and a host may have none"
            )
        if self._key_rule["empty"] == "hashed" or function(b"") == 0:
            self._key_rule["empty"] = "hashed"
            return function
        return lambda key: function(key) if key else 0

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        key = {name: value for name, value in self._key_rule.items() if value not in ("", "bytes", "hashed")}
        return {"hash_tags": self.hash_tags, **key}

    def part_of(self, key: bytes) -> bytes:
        """Return the bytes that are hashed for a key: by default the key, or its hash tag."""
        if self._part is not None and (self._mark is None or self._mark in key):
            return self._part(key)
        return key

    def _tag_of(self, key: bytes) -> bytes:
        return self._tag(key)

    def hash_of(self, key: bytes) -> int | None:
        """Return the value that decides the place of a key; None if no single value does."""
        return None

    def locate_all(self, keys: Sequence[bytes]) -> Sequence[str]:
        """Return the names of the hosts of many keys, in their order. A rule with a table does this quickest.

        Parameters:
            keys: The keys, as the server sees them.
        """
        return [*map(self.locate, keys)]

    def _none_left(self) -> HostListExhausted:
        """Make the error for a key whose hosts are all to be avoided."""
        return HostListExhausted(f"all hosts are to be avoided: {', '.join(self.names)}")

    def rule(self) -> dict[str, Any]:
        """Return the whole rule as plain data, to keep or to compare: see ``differences``."""
        known = {"family": self.family, "profile": self.profile} if self._is_built_in() else {}
        return {**super().rule(), **known}

    def _is_built_in(self) -> bool:
        """Tell whether this is a class of this package, and no subclass with a rule of its own."""
        return type(self).__module__.startswith(f"{__package__}.")

    def owners(self) -> Collection[str]:
        """Return the names of the hosts that keys can live on: the hosts with a share."""
        return self.names

    def placement(self) -> list[Any]:
        """Return the plain data that decides where keys live, and nothing else."""
        raise NotImplementedError(f"{type(self).__name__} has to define placement()")

    @cached_property
    def fingerprint(self) -> str:
        """A short text for the placement of keys, equal exactly for rules that place all keys alike."""
        if not self._is_built_in():
            return f"{type(self).__name__}:{digest(self.rule())}"
        owners = sorted(set(self.owners()))
        if len(owners) == 1:
            return f"single:{digest(owners)}"
        return f"{self.family}:{digest([self._key_rule, *self.placement()])}"


class LabelledRouter(KeyRouter):
    """A rule that hashes keys, and a text for each host, its *label*.

    Parameters:
        nodes: The hosts, in host order.
        label: The label of a host: ``name``, ``identifier``, ``address`` (``host:port``, or a unix socket's path),
            ``short-address`` (without memcached's own port), ``slash-address``, ``position`` or ``rb``.
        labels: Labels that are given rather than made, by the names of hosts. With a given label a host keeps
            its place even if its address changes.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or two hosts have one label.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        label: str = "name",
        labels: Mapping[str, str] | None = None,
        **key_options: Any,
    ) -> None:
        super().__init__(nodes, **key_options)
        choose(LABELS, label, "router.label")
        pinned: Mapping[str, str] = {} if labels is None else labels
        self.labels = labels_of(nodes, label, pinned)
        self._label, self._pinned = label, frozenset(pinned)
        self.by_address = label in BY_ADDRESS and not self._pinned.issuperset(self.names)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {"label": self._label, **super().parameters()}

    def _host(self, node: Node) -> dict[str, Any]:
        label = self.labels[self.names.index(node.name)]
        if node.name in self._pinned:  # a given label may hold a secret: it is not shown
            label = f"pinned, {digest(label)}"
        elif without_userinfo(label) != label:  # as may an identifier that the settings give
            label = f"with a user, {digest(label)}"
        return {"name": node.name, "weight": node.weight, **({"label": label} if label != node.name else {})}


def hash_named(name: Any, path: str = "router.hash") -> Hash:
    """Return a hash function by its name.

    Raises:
        ConfigError: There is no hash of that name.
    """
    from nydus_core.routers.hashes import HASHES  # many functions, which not all rules need

    found: Hash = choose(HASHES, name, path)
    return found


def _chained(steps: Sequence[Callable[[bytes], bytes]]) -> Callable[[bytes], bytes] | None:
    """Return one function for several; None if there are none."""
    if len(steps) < 2:
        return steps[0] if steps else None

    def part(key: bytes) -> bytes:
        for step in steps:
            key = step(key)
        return key

    return part
