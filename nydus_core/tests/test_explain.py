"""Where a command would go, without sending it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clusters import ByName
from engines import MemoryEngine
from nydus_core import Cluster, CrossHostError, create_cluster
from nydus_core.routers.legacy import BaseRouter
from nydus_memcache import Memcache
from nydus_redis import Redis


class Unreachable(Redis):
    """Nothing is sent in this module."""

    def acquire(self) -> Any:
        raise AssertionError("something was sent")


def described(router: Any = ByName, engine: Any = Unreachable, **hosts: Any) -> Cluster:
    return create_cluster({"engine": engine, "router": router, "hosts": hosts or {"a": {}, "b": {"db": 1}}})


def test_a_command_that_is_split_shows_what_goes_where() -> None:
    found = described().explain("mget", "b1", "a1", "b2")
    assert (found.command, found.split, found.refused) == ("MGET", True, "")
    assert [(place.key, place.host) for place in found.keys] == [(b"b1", "b"), (b"a1", "a"), (b"b2", "b")]
    assert {part.host: part.keys for part in found.parts} == {"b": (b"b1", b"b2"), "a": (b"a1",)}
    assert found.wire == b"*4\r\n$4\r\nMGET\r\n$2\r\nb1\r\n$2\r\na1\r\n$2\r\nb2\r\n"
    assert found.parts[1].wire == b"*2\r\n$4\r\nMGET\r\n$2\r\na1\r\n"
    assert str(found) == (
        "MGET, router ByName\n  b'b1' lives on b\n  b'a1' lives on a\n  b'b2' lives on b\n  split over b, a"
    )


def test_a_command_of_one_host_shows_that_host() -> None:
    found = described().explain("set", "b1", "s3cret", ex=5)
    assert [part.host for part in found.parts] == ["b"]
    assert not found.split
    assert b"s3cret" in (found.wire or b"")
    assert "s3cret" not in f"{found!r} {found}"  # who looks at a log need not see it


def test_a_refusal_shows_its_reason_and_is_that_of_the_command() -> None:
    cluster = described()
    found = cluster.explain("rename", "a1", "b1")
    with pytest.raises(CrossHostError) as refusal:
        cluster.rename("a1", "b1")
    assert found.refused == str(refusal.value)
    assert found.parts == ()
    assert [place.host for place in found.keys] == ["a", "b"]
    assert "refused: RENAME: its keys live on several hosts" in str(found)


def test_what_is_no_command_cannot_be_explained() -> None:
    with pytest.raises(AttributeError, match="pipeline_of_dreams"):
        described().explain("pipeline_of_dreams")


def test_what_is_refused_for_itself_shows_the_way() -> None:
    assert "cluster.on(host)" in described().explain("monitor").refused


@pytest.mark.parametrize("router", ["slots", "redis-slots"])
def test_hash_tags_and_slots_are_shown(router: str) -> None:
    found = described(router).explain("get", "{user:1}.name")
    (place,) = found.keys
    assert (place.key, place.part, place.hash, place.slot) == (b"{user:1}.name", b"user:1", 10778, 10778)
    assert "b'{user:1}.name' lives on" in str(found)
    assert ", by b'user:1', slot 10778" in str(found)
    assert found.to_dict()["keys"][0]["slot"] == 10778


def test_hashes_are_shown() -> None:
    found = described("jump").explain("get", "{user:1}.name")
    (place,) = found.keys
    assert (place.part, place.hash, place.slot) == (b"user:1", 2074460802, None)
    assert ", by b'user:1', hash 2074460802" in str(found)


def test_a_rule_that_goes_by_addresses_says_so() -> None:
    assert described("consistent").explain("get", "k").by_address
    assert "by the hosts' addresses" in str(described("consistent").explain("get", "k"))
    assert not described("rendezvous").explain("get", "k").by_address


def test_a_router_under_which_keys_crowd_says_so() -> None:
    found = described("twemproxy-modula").explain("get", "k")
    assert "keys that begin alike crowd on few hosts" in found.caution
    assert f"\n  caution: {found.caution}\n" in str(found)
    assert found.to_dict()["caution"] == found.caution
    even = described("rendezvous").explain("get", "k")
    assert (even.caution, "caution" in str(even)) == ("", False)


def test_a_command_without_a_key_goes_to_all_hosts() -> None:
    found = described().explain("ping")
    assert [part.host for part in found.parts] == ["a", "b"]
    assert (found.keys, found.split) == ((), False)


def test_without_a_router_every_command_does() -> None:
    found = described(None).explain("get", "k")
    assert ([part.host for part in found.parts], found.router) == (["a", "b"], "none")
    assert found.keys[0].host == ""


def test_to_ask_is_no_turn() -> None:
    cluster = described("round-robin", MemoryEngine, a={}, b={})
    assert str(cluster.explain("who", "k")).endswith("to the next host in turn")
    assert [cluster.who("k") for _ in range(2)] == ["a", "b"]


def test_a_router_that_sees_calls_sees_this_one() -> None:
    class First(BaseRouter):
        def _route(self, attr: str, args: Any, kwargs: Any, **_: Any) -> list[Any]:
            return ["b"] if attr == "decr" else ["a"]

    assert [part.host for part in described(First).explain("decr", "k").parts] == ["b"]


def test_memcache_commands_are_explained_too() -> None:
    found = described(ByName, Memcache, a={}, b={"port": 11212}).explain("get_many", ["a1", "b1"])
    assert {part.host: part.wire for part in found.parts} == {"a": b"get a1\r\n", "b": b"get b1\r\n"}


def test_it_is_plain_data_too() -> None:
    data = described().explain("get", "b1").to_dict()
    assert data["keys"] == [{"key": "b1", "part": "b1", "hash": None, "host": "b", "slot": None}]
    assert data["parts"][0]["host"] == "b"
    assert json.loads(json.dumps(data)) == data


def test_bytes_that_are_no_text_are_plain_data_too() -> None:
    data = described().explain("get", b"b\xff").to_dict()
    assert data["keys"][0]["key"] == r"b\xff"
