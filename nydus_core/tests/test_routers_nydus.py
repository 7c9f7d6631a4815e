"""``partition``, ``consistent`` and ``round-robin`` place keys as nydus 0.11 did, by what the original answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from nydus_core import ConfigError, HostListExhausted, RoutingError
from nydus_core.command import key_bytes
from nydus_core.delivery.placement import Placement
from nydus_core.engines import BaseEngine
from nydus_core.routers import ConsistentHashingRouter, Node, PartitionRouter, RoundRobinRouter
from vectors import cases, mapping


def nodes(names: Sequence[Any], identifiers: Sequence[str] = ()) -> list[Node]:
    return [
        Node(str(name), identifier=identifier)
        for name, identifier in zip(names, identifiers or [f"host-{name}" for name in names], strict=True)
    ]


def test_partition_places_keys_as_nydus_did() -> None:
    tally: Counter[str] = Counter()
    for case in cases("nydus_partition"):
        router = PartitionRouter(nodes(range(len(case["hosts"]))))
        for key, theirs in mapping(case):
            if theirs == {"error": "UnicodeEncodeError"}:
                # On purpose: Python 2 could not encode this text; we hash it as UTF-8, as nydus did with bytes.
                theirs = utf8_answer(len(case["hosts"]), key)
                tally["refused by nydus"] += 1
            else:
                tally["equal"] += 1
            assert router.locate(key_bytes(key)) == str(theirs), (len(case["hosts"]), key)
    assert tally == {"equal": 2_052, "refused by nydus": 27}


def utf8_answer(hosts: int, key: Any) -> Any:
    (case,) = (
        case
        for case in cases("nydus_partition")
        if len(case["hosts"]) == hosts and case["options"].get("text_keys_as") == "utf8"
    )
    return dict(mapping(case))[key]


def test_partition_hashes_keys_that_are_no_text_by_their_text_as_nydus_did() -> None:
    (literals,) = (case["literals"] for case in cases("nydus_partition") if "literals" in case)
    values = {"None": None, "True": True, "1.5": 1.5, "5L": 5, "('a', 1)": ("a", 1)}
    router = PartitionRouter(nodes(range(3)))
    assert {text: int(router.locate(key_bytes(values[text]))) for text in literals} == literals
    assert len(literals) == 5


def test_partition_takes_the_key_from_the_arguments_that_nydus_took_it_from() -> None:
    (trace,) = (case["trace"] for case in cases("nydus_partition") if "trace" in case)
    tally: Counter[str] = Counter()
    for call in trace:
        if call["kwargs"] and "key" not in call["kwargs"]:
            # On purpose: nydus sent it to the host of the text 'None'; we refuse rather than guess.
            with pytest.raises(RoutingError, match="cannot tell the keys of get"):
                asked(PartitionRouter(nodes(range(3))), range(3), call)
            tally["refused by us"] += 1
        else:
            assert asked(PartitionRouter(nodes(range(3))), range(3), call) == call["result"]
            tally["equal"] += 1
    assert tally == {"equal": 3, "refused by us": 1}


def asked(router: Any, hosts: Sequence[int], call: dict[str, Any], down: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """The numbers of the hosts that a call on the plain surface goes to, when some are down."""
    command = BaseEngine.describe("get", tuple(call.get("args", ())), call.get("kwargs", {}))
    if command.keys:
        return [int(router.locate(command.keys[0], {str(number) for number in down}))]
    return [hosts[index] for index in Placement(hosts, router).route(command).hosts]


def test_the_ring_of_nydus_has_the_same_points_and_places_keys_alike() -> None:
    tally: Counter[str] = Counter()
    for case in cases("nydus_ketama"):
        weights = final_weights(case)
        if not weights:
            tally["no hosts"] += len(case["mapping"])  # nydus answered None; here there is always a host
            continue
        ring = ConsistentHashingRouter(
            [Node(name, weight, identifier=name) for name, weight in weights.items()]
        )
        assert {name: count for name, count in ring.points.items() if count} == case["points_per_node"]
        shared = case["points"] - sum(ring.points.values())  # nydus lists a point of two nodes twice
        assert shared == ("share the point" in case.get("note", ""))
        tally["points"] += case["points"]
        for key, theirs in mapping(case):
            ours = ring.locate(key_bytes(key))
            if isinstance(theirs, dict):
                # On purpose: nydus raised for numbers and non-ASCII unicode objects; we hash their text.
                assert ours == ring.locate(str(key).encode())
                tally[theirs["error"]] += 1
            else:
                assert ours == theirs, (case["hosts"], key)
                tally["equal"] += 1
    assert tally == {
        "points": 18_536,
        "equal": 4_379,
        "TypeError": 336,
        "UnicodeEncodeError": 27,
        "no hosts": 38,
    }


def final_weights(case: dict[str, Any]) -> dict[str, float]:
    """The nodes that are left when the operations of a case have been applied, and their weights."""
    given: dict[str, float] = dict(case["options"]["weights"] or {})
    names = dict.fromkeys(case.get("set_order", case["hosts"]))
    for operation, name, *weight in case["options"]["ops"]:
        if operation == "remove":
            names.pop(name, None)
            given.pop(name, None)
        else:
            names[name] = None
            given[name] = weight[0] if weight else 1
    return {name: given.get(name, 1) for name in names}


def test_consistent_places_keys_as_nydus_did_also_when_hosts_are_down() -> None:
    tally: Counter[str] = Counter()
    for case in cases("nydus_consistent_hashing_router"):
        hosts = nodes(range(len(case["hosts"])), case["hosts"])
        if len(set(case["hosts"])) < len(hosts):
            # On purpose: nydus sent such keys to both hosts; we refuse to build the router.
            with pytest.raises(
                ConfigError, match="'0' and '1' have one identifier, 'redis://localhost:6379/0'"
            ):
                ConsistentHashingRouter(hosts)
            tally["hosts refused by us"] += len(case["mapping"])
            continue
        router = ConsistentHashingRouter(hosts)
        down = [str(number) for number in case["options"].get("down", ())]
        for key, theirs in mapping(case):
            ours = router.locate(key_bytes(key), down)
            if theirs == {"error": "TypeError"}:
                # On purpose: nydus could not hash numbers; we hash their text.
                assert isinstance(key, int)
                assert ours == router.locate(str(key).encode(), down)
                tally["refused by nydus"] += 1
            else:
                assert [int(ours)] == theirs, (case["hosts"], down, key)
                tally["equal"] += 1
    assert tally == {"equal": 1_955, "refused by nydus": 168, "hosts refused by us": 50}


class Marks:
    """Which hosts are down, as the routers of nydus 0.11 marked them; a router of ours is told by ``avoid``."""

    def __init__(self, hosts: Sequence[int]) -> None:
        self.hosts = hosts
        self.down: set[int] = set()
        self.expire_at_once = False

    def apply(self, step: dict[str, Any]) -> None:
        operation = step["op"]
        if operation == "set_retry_timeout":
            self.expire_at_once = step["value"] == 0
        elif operation == "flush_down_connections":
            self.down.clear()
        elif operation == "mark_connection_up":
            self.down.discard(step["args"][0])
        elif operation == "mark_connection_down":
            self.down.add(step["args"][0])
        elif str(step.get("retry_for", "")).isdecimal() and int(step["retry_for"]) in self.hosts:
            self.down.add(int(step["retry_for"]))


def test_consistent_follows_the_traces_of_nydus() -> None:
    tally: Counter[str] = Counter()
    for case in cases("nydus_consistent_hashing_router"):
        hosts = range(len(case["hosts"]))
        router = ConsistentHashingRouter(nodes(hosts, case["hosts"])) if "trace" in case else None
        marks = Marks(hosts)
        for step in case.get("trace", ()):
            if step["op"] == "get_dbs" and marks.expire_at_once:
                marks.down.clear()  # the check comes before the new mark
            marks.apply(step)
            assert sorted(marks.down) == step["down_after"]
            if step["op"] != "get_dbs":
                tally["marks"] += 1
            elif step["result"] == {"error": "HostListExhausted"}:
                with pytest.raises(HostListExhausted):
                    asked(router, hosts, step, marks.down)
                tally["equal"] += 1
            elif step["result"] == {"error": "TypeError"}:
                # On purpose: nydus tried to hash None; we say that there is no key.
                with pytest.raises(RoutingError, match="cannot tell the keys of get"):
                    asked(router, hosts, step, marks.down)
                tally["no key"] += 1
            elif isinstance(step["result"], dict):
                # Not ours to judge: a wrong number of a host to mark. The key stays where it is.
                assert step["result"]["error"] in ("KeyError", "InvalidDBNum")
                assert asked(router, hosts, step, marks.down) == [4]
                tally["wrong mark"] += 1
            else:
                assert asked(router, hosts, step, marks.down) == step["result"]
                tally["equal"] += 1
    assert tally == {"equal": 63, "marks": 4, "no key": 1, "wrong mark": 2}


def test_round_robin_follows_the_traces_of_nydus() -> None:
    tally: Counter[str] = Counter()
    for case in cases("nydus_round_robin"):
        hosts = case["host_nums_in_dict_order"]
        router = RoundRobinRouter(nodes(hosts))
        marks = Marks(hosts)
        for step in case["trace"]:
            marks.apply(step)
            avoid = set() if marks.expire_at_once else marks.down
            if step["op"] != "get_dbs":
                tally["marks"] += 1
            elif isinstance(step["result"], dict):
                assert step["result"] == {"error": "HostListExhausted"}
                with pytest.raises(HostListExhausted):
                    asked(router, hosts, step, avoid)
                tally["equal"] += 1
            else:
                found = asked(router, hosts, step, avoid)
                assert found == step["result"]
                tally["equal"] += 1
                if marks.expire_at_once:
                    marks.down -= set(found)  # chosen again, so marked up
            assert sorted(marks.down) == step["down_after"]
    assert tally == {"equal": 91, "marks": 5}
