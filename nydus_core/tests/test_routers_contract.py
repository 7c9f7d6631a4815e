"""What holds for any router holds for all of ours: each goes through the kit that is published for yours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import inner
from nydus_core.routers import PROFILES, Node, NodeRouter, RoundRobinRouter, Router, profiles
from nydus_core.routers.nydus_consistent import ConsistentHashingRouter
from nydus_core.routers.nydus_partition import PartitionRouter
from nydus_core.testing.routers import RouterContract

#: Profiles that go by numbers: a host more moves most keys; all others but maglev and slots are consistent.
NOT_CONSISTENT = {
    *("partition", "rb-partition", "libmemcached-modula", "twemproxy-modula", "python-memcached"),
    *("mcrouter-crc32", "phpredis", "memjs", "spymemcached-array-mod", "maglev", "slots", "redis-slots"),
}


def rule(name: str) -> Any:
    own = {"partition": PartitionRouter, "consistent": ConsistentHashingRouter}
    return own.get(name) or getattr(profiles, name.replace("-", "_"))


def contract(name: str) -> type[RouterContract]:
    body: dict[str, Any] = {
        "rule": rule(name),
        "moves_only_to_new": name not in NOT_CONSISTENT,
        "test_places_are_the_same_in_another_process": None,  # below, all in one
    }
    if name in NOT_CONSISTENT:
        body["test_a_new_host_takes_keys_and_moves_none_between_the_others"] = None
    if not PROFILES[name].parameters.get("hash_tags"):
        body["test_keys_with_one_hash_tag_live_together_if_it_says_so"] = None
    if name == "rb-ketama":  # its hosts are numbers
        body |= {"names": tuple("0123456"), "new": "7"}
    return type(f"Test_{name}", (RouterContract,), body)


globals().update({f"Test_{name}": contract(name) for name in PROFILES})


class TestRoundRobin(RouterContract):
    rule = RoundRobinRouter


class ByLength(NodeRouter):
    """The example of the documentation of ``NodeRouter``."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        names = self.candidates(avoid)
        return names[len(key) % len(names)]


class TestByLength(RouterContract):
    rule = ByLength
    moves_only_avoided = False


ELSEWHERE = """
import json
from nydus_core.routers import PROFILES
from test_routers_contract import contract
print(json.dumps({name: contract(name)().places(contract(name)().router()) for name in PROFILES}))
"""


def test_places_are_the_same_in_any_process() -> None:
    here = {name: contract(name)().places(contract(name)().router()) for name in PROFILES}
    folders = [str(Path(file).parent) for file in (__file__, inner.__file__)]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(folders)}
    there = subprocess.check_output([sys.executable, "-c", ELSEWHERE], env=environment)
    assert json.loads(there) == here


# The kit finds what is wrong --------------------------------------------------------------------------------------


class ByHash(ByLength):
    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return self.candidates(avoid)[hash(key) % len(self.candidates(avoid))]


class Stubborn(ByLength):
    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return super().locate(key)


class Elsewhere(ByLength):
    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return super().locate(key, avoid) if key else "elsewhere"


class Restless(ByLength):
    turn = 0

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        self.turn += 1
        return super().locate(key * self.turn, avoid)


class Untagged:
    """It starts from no class of ours, which would see to hash tags, and says that it honours them."""

    hash_tags = True

    def __init__(self, nodes: Any) -> None:
        self._rule = ByLength(nodes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (Stubborn, "test_a_host_to_be_avoided_is_never_chosen"),
        (Stubborn, "test_when_all_hosts_are_to_be_avoided_there_is_none_left"),
        (Elsewhere, "test_every_key_has_a_host"),
        (Restless, "test_a_key_stays_where_it_is"),
        (ByLength, "test_only_the_keys_of_an_avoided_host_move"),
        (Untagged, "test_keys_with_one_hash_tag_live_together_if_it_says_so"),
        (ByHash, "test_places_are_the_same_in_another_process"),
        (lambda nodes: object(), "test_it_is_a_router"),
    ],
)
def test_the_kit_finds_what_is_wrong(wrong: Any, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Contract(RouterContract):
        rule = staticmethod(wrong)

    with pytest.raises((AssertionError, pytest.fail.Exception)) as found:
        getattr(Contract(), test)()
    assert "Timeout" not in str(found.value)  # pytest's own limit: the kit has compared long lists


def test_it_says_router_of_any_router() -> None:
    assert isinstance(ByLength([Node("a")]), Router)


OWN = """
from nydus_core.routers import NodeRouter
from nydus_core.testing.routers import RouterContract

class ByRegion(NodeRouter):
    def locate(self, key, avoid=()):
        hosts = self.candidates(avoid)
        region = key.partition(b":")[0].decode(errors="replace")
        return region if region in hosts else hosts[0]

class TestByRegion(RouterContract):
    rule = ByRegion
    uses_every_host = False

class TestEveryHost(RouterContract):
    rule = ByRegion
"""


def test_a_third_party_runs_the_kit_with_one_attribute_and_sees_why_it_fails(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN)
    done = inner.inner_pytest(tmp_path, "test_own.py")
    assert "1 failed" in done.stdout
    assert "FAILED test_own.py::TestEveryHost::test_every_key_has_a_host" in done.stdout
    assert "assert {'a'} == {" in done.stdout  # rewritten, so it shows
