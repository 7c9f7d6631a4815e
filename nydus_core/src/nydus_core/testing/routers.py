"""Tests that any router must pass, for a test class of yours to inherit.

::

    from nydus_core.testing.routers import RouterContract

    class TestByRegion(RouterContract):
        rule = ByRegion
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any, ClassVar

import pytest

from nydus_core.command import key_bytes
from nydus_core.errors import ConfigError, HostListExhausted
from nydus_core.routers import Node, Router, Spread

__all__ = ["KEYS", "RouterContract"]


def _keys() -> tuple[bytes, ...]:
    some = random.Random(1)
    odd = (
        b"",
        b"\0",
        b"{}",
        b"{x}",
        b"{",
        b"}{",
        b"\xff" * 300,
        b" ",
        b"\r\n",
        "schlüssel".encode(),
        b"-1",
        b"00",
    )
    usual = (b"user:%d" % number for number in range(400))
    return (*odd, *usual, *(some.randbytes(number % 40) for number in range(200)))


#: The keys that are tried: usual ones, and odd ones.
KEYS = _keys()


class RouterContract:
    """Tests that any router has to pass. Subclass it, and set ``rule``.

    Attributes:
        rule: The class of the router; or, as a ``staticmethod``, a function that makes a router of a list of ``Node``.
        names: The names of the hosts that the router is tried with.
        new: The name of a further host.
        uses_every_host: Whether each host gets some of the keys. False for rules that look for certain keys.
        moves_only_avoided: Whether a host that is to be avoided moves its own keys only. Rules should; a rule
            that takes the key modulo the hosts that are left does not.
        moves_only_to_new: Whether a host that is added at the end moves keys to itself only, as consistent hashing does.
    """

    rule: ClassVar[Callable[..., Any]]
    names: ClassVar[Sequence[str]] = tuple("abcdefg")
    new: ClassVar[str] = "new"
    uses_every_host: ClassVar[bool] = True
    moves_only_avoided: ClassVar[bool] = True
    moves_only_to_new: ClassVar[bool] = False

    def router(self, names: Sequence[str] = ()) -> Any:
        """Make the router over hosts of these names, or of ``names``."""
        return self.rule(self.nodes(names or self.names))

    def nodes(self, names: Sequence[str]) -> list[Node]:
        """Return hosts of these names, each with an address."""
        return [Node(name, 1, f"redis://{name}:6379/0", f"{name}:6379") for name in names]

    def places(self, router: Any, avoid: Collection[str] = ()) -> list[str]:
        """Return the name of the host of each key of ``KEYS``."""
        return [router.locate(key, avoid) for key in KEYS]

    def by_key(self) -> Any:
        """Make the router. For a rule without a place for each key, skip the test."""
        router = self.router()
        if router.spread is not Spread.KEY:
            pytest.skip(f"it has {router.spread}: no key has a place")
        return router

    def test_it_is_a_router(self) -> None:
        assert isinstance(self.router(), Router)

    def test_every_key_has_a_host(self) -> None:
        places = self.places(self.router())
        assert set(places) <= set(self.names)
        if self.uses_every_host:
            assert set(places) == set(self.names)

    def test_a_key_stays_where_it_is(self) -> None:
        router = self.by_key()
        before = self.places(router)
        again = [router.locate(key) for key in reversed(KEYS)]
        assert not _moved(before, again[::-1])

    def test_equal_settings_give_equal_places(self) -> None:
        assert not _moved(self.places(self.router()), self.places(self.router()))

    def test_places_are_the_same_in_another_process(self) -> None:
        """Nothing may depend on ``hash``, which differs from process to process."""
        here = self.places(self.by_key())
        if "<" in self.rule.__qualname__:
            pytest.skip("another process cannot import a rule that is made inside a function")
        there = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            input=json.dumps([sys.path, *_found_at(self.rule), self.names, [key.hex() for key in KEYS]]),
            env={**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert there.stdout, there.stderr
        assert not _moved(here, json.loads(there.stdout))

    def test_threads_agree(self) -> None:
        router = self.by_key()
        with ThreadPoolExecutor(4) as threads:
            assert len({tuple(found) for found in threads.map(self.places, [router] * 4)}) == 1

    @pytest.mark.parametrize(
        ("text", "data"), [("schlüssel", b"schl\xc3\xbcssel"), (5, b"5"), (-42, b"-42"), ("", b"")]
    )
    def test_text_and_numbers_live_where_their_bytes_do(self, text: Any, data: bytes) -> None:
        router = self.by_key()
        assert router.locate(key_bytes(text)) == router.locate(data)

    def test_a_host_to_be_avoided_is_never_chosen(self) -> None:
        router = self.router()
        for count in (1, len(self.names) - 1):
            for avoid in combinations(self.names, count):
                assert not set(self.places(router, {*avoid, "nobody"})) & set(avoid)

    @pytest.mark.parametrize("kind", [frozenset, list, tuple], ids=lambda kind: kind.__name__)
    def test_hosts_to_be_avoided_may_be_any_collection(self, kind: Callable[[Any], Collection[str]]) -> None:
        router = self.by_key()
        assert router.locate(b"key", kind(self.names[1:])) == self.names[0]

    def test_when_all_hosts_are_to_be_avoided_there_is_none_left(self) -> None:
        with pytest.raises(HostListExhausted):
            self.router().locate(b"key", {*self.names, "nobody"})

    def test_only_the_keys_of_an_avoided_host_move(self) -> None:
        router = self.by_key()
        if not self.moves_only_avoided:
            pytest.skip("it does not promise that")
        before = self.places(router)
        for name in self.names:
            after = self.places(router, {name})
            assert {old for old, new in zip(before, after, strict=True) if old != new} <= {name}

    def test_a_new_host_takes_keys_and_moves_none_between_the_others(self) -> None:
        before = self.places(self.by_key())
        if not self.moves_only_to_new:
            pytest.skip("it does not promise that")
        after = self.places(self.router([*self.names, self.new]))
        assert {new for old, new in zip(before, after, strict=True) if old != new} == {self.new}

    def test_one_host_has_all_keys(self) -> None:
        assert set(self.places(self.router([self.new]))) == {self.new}

    def test_keys_with_one_hash_tag_live_together_if_it_says_so(self) -> None:
        router = self.by_key()
        if not router.hash_tags:
            pytest.skip("it has no hash tags")
        tagged = [b"%d{user:1}%d" % (number, number) for number in range(100)]
        assert len({router.locate(key) for key in tagged}) == 1

    def test_its_fingerprint_is_that_of_its_placement(self) -> None:
        router = self.by_key()
        if not hasattr(router, "fingerprint"):
            pytest.skip("it has none")
        assert router.fingerprint == self.router().fingerprint
        other = self.router([*self.names, self.new])
        if self.places(router) != self.places(other):
            assert router.fingerprint != other.fingerprint

    def test_a_weight_counts_or_is_refused(self) -> None:
        router = self.by_key()
        nodes = [
            Node(node.name, 1 + 9 * (node.name == self.names[0]), *_address(node)) for node in router.nodes
        ]
        if not getattr(router, "weighted", False):
            with pytest.raises(ConfigError):
                self.rule(nodes)
            return
        heavy = [name for name in self.places(self.rule(nodes)) if name == self.names[0]]
        assert len(heavy) > 2 * len([name for name in self.places(router) if name == self.names[0]])


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Tell of some keys that have moved. Two long lists are for nobody to compare: pytest would, for minutes, in CI."""
    both = zip(KEYS, before, after, strict=True)
    return [f"{key!r} was on {old}, then on {new}" for key, old, new in both if old != new][:5]


#: Another process answers where keys live, by a rule that it imports by name or from its file.
_ELSEWHERE = """
import functools, importlib, importlib.util, json, sys
path, module, file, name, names, keys = json.load(sys.stdin)
sys.path[:] = path
try:
    found = importlib.import_module(module)
except ImportError:
    spec = importlib.util.spec_from_file_location("rule", file)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
from nydus_core.routers import Node
router = functools.reduce(getattr, name.split("."), found)(
    [Node(name, 1, f"redis://{name}:6379/0", f"{name}:6379") for name in names]
)
print(json.dumps([router.locate(bytes.fromhex(key)) for key in keys]))
"""


def _found_at(rule: Any) -> tuple[str, str, str]:
    """Return the module of a rule, the file of the module, and the name of the rule in the module."""
    return rule.__module__, getattr(sys.modules[rule.__module__], "__file__", "") or "", rule.__qualname__


def _address(node: Node) -> tuple[str, str]:
    return node.identifier, node.address
