"""SORT whose BY and GET read keys of a pattern: right, or refused before anything is sent; on each road and both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from clusters import async_cluster_of, cluster_of, keys_of
from in_loop import in_loop
from nydus_core import AsyncCluster, Cluster, CrossHostError, HostDown, RoutingError
from nydus_redis.commands.patterns import key_patterns
from nydus_redis.embedded.server import PrivateServer
from spoiling import fuzz

Servers = Callable[..., list[PrivateServer]]
TAGS = {"name": "rendezvous", "hash_tags": True}


def fill(client: Any, tag: str = "") -> None:
    """A list of four, whose weights are the other way round, and an object and a hash for each."""
    client.rpush(f"{tag}ids", 1, 2, 3, 4)
    for number in range(1, 5):
        client.set(f"{tag}weight_{number}", 10 - number)
        client.set(f"{tag}obj_{number}", f"o{number}")
        client.hset(f"{tag}h_{number}", "f", 10 - number)


def options(tag: str) -> list[dict[str, Any]]:
    """Options whose patterns bear a tag, or none."""
    return [
        {"by": f"{tag}weight_*"},
        {"by": f"{tag}h_*->f"},
        {"get": f"{tag}obj_*"},
        {"get": ["#", f"{tag}obj_*"], "groups": True},
        {"by": "nosort", "get": [f"{tag}h_*->f"]},
        {"by": f"{tag}weight_*", "get": f"{tag}obj_*", "store": "{t}to"},
    ]


def sorting(words: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda client: client.sort("{t}ids", **words)


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3), router=TAGS, names="abc") as cluster:
        fill(cluster)
        fill(cluster, "{t}")
        yield cluster


@pytest.fixture
def plain(redis_servers: Servers) -> Iterator[redis.Redis]:
    """One server with the same data, to compare with."""
    with redis.Redis(unix_socket_path=redis_servers(1)[0].path) as client:
        fill(client, "{t}")
        yield client


# Every road --------------------------------------------------------------------------------------------------------


def in_a_map(cluster: Cluster, call: Callable[[Any], Any]) -> Any:
    with cluster.map() as conn:
        promise = call(conn)
    return promise.value


def in_a_transaction(cluster: Cluster, call: Callable[[Any], Any]) -> Any:
    with cluster.map(transaction=True) as conn:
        promise = call(conn)
    return promise.value


def in_a_pipeline(cluster: Cluster, call: Callable[[Any], Any]) -> Any:
    (value,) = call(cluster.pipeline()).execute()
    return value


def in_a_pipeline_of_the_key(cluster: Cluster, call: Callable[[Any], Any]) -> Any:
    (value,) = call(cluster.on_key("{t}ids").pipeline()).execute()
    return value


def watching(cluster: Cluster, call: Callable[[Any], Any]) -> Any:
    def work(pipe: Any) -> None:
        pipe.multi()
        call(pipe)

    (value,) = cluster.on_key("{t}ids").transaction(work, "{t}ids")
    return value


ROADS: dict[str, Callable[[Cluster, Callable[[Any], Any]], Any]] = {
    "cluster": lambda cluster, call: call(cluster),
    "map": in_a_map,
    "map as a transaction": in_a_transaction,
    "pipeline": in_a_pipeline,
    "on_key": lambda cluster, call: call(cluster.on_key("{t}ids")),
    "pipeline of on_key": in_a_pipeline_of_the_key,
    "transaction of on_key": watching,
}


@pytest.mark.parametrize("road", ROADS)
def test_a_pattern_that_may_lead_elsewhere_is_refused_on_every_road(cluster: Cluster, road: str) -> None:
    before = cluster.dbsize()
    for words in options(""):
        with pytest.raises(RoutingError, match=r"pattern|any host") as refusal:
            ROADS[road](cluster, sorting(words))
        assert "Nothing was sent" in str(refusal.value)
        assert "{user:1}.weight_*" in str(refusal.value)
    assert cluster.dbsize() == before


@pytest.mark.parametrize("road", ROADS)
def test_a_pattern_with_the_hash_tag_of_the_list_answers_as_one_server(
    cluster: Cluster, plain: redis.Redis, road: str
) -> None:
    for words in options("{t}"):
        found = ROADS[road](cluster, sorting(words))
        assert found == plain.sort("{t}ids", **words)
        assert cluster.lrange("{t}to", 0, -1) == plain.lrange("{t}to", 0, -1)


@pytest.mark.parametrize("name", ["SORT", "sort_ro", b"SORT", "SORT {t}ids"])
def test_words_that_the_user_writes_are_read_too(cluster: Cluster, name: Any) -> None:
    key = () if name == "SORT {t}ids" else ("{t}ids",)
    for wrong in (
        ("BY", "weight_*"),
        (b"by", b"weight_*"),
        ("LIMIT", 0, 9, "get", "obj_*"),
        ("GET", "#", "GET", "*"),
    ):
        with pytest.raises(CrossHostError):
            cluster.execute_command(name, *key, *wrong)
    for right in (("BY", "{t}weight_*"), ("BY", "{t}h_*->f")):
        assert cluster.execute_command(name, *key, *right) == [b"4", b"3", b"2", b"1"]
    with pytest.raises(CrossHostError):
        cluster.sort_ro("{t}ids", by="weight_*")
    assert cluster.sort_ro("{t}ids", by="{t}weight_*") == [b"4", b"3", b"2", b"1"]


def test_without_a_star_no_key_is_read(cluster: Cluster, plain: redis.Redis) -> None:
    starless: list[dict[str, Any]] = [
        *({}, {"by": "nosort"}, {"by": "#"}, {"get": "#"}, {"get": ["#", "#"]}, {"get": "weight_1"})
    ]
    for words in starless:
        assert cluster.sort("{t}ids", **words) == plain.sort("{t}ids", **words)


def test_where_the_result_is_stored_counts_as_well(cluster: Cluster) -> None:
    homes = {key: cluster.explain("get", key).parts[0].host for key in [*keys_of(cluster), "{t}"]}
    elsewhere = next(key for key, home in homes.items() if home != homes["{t}"])
    with pytest.raises(CrossHostError):
        cluster.sort("{t}ids", by="{t}weight_*", store=elsewhere)
    assert cluster.exists(elsewhere) == 0


def test_the_host_that_the_user_names_reads_what_it_holds(cluster: Cluster) -> None:
    host = cluster.explain("get", "{t}ids").parts[0].host
    assert cluster.on(host).sort("{t}ids", by="{t}weight_*") == [b"4", b"3", b"2", b"1"]
    assert cluster.on(host).sort("{t}ids", get="obj_*") == [
        cluster.on(host).get(f"obj_{number}") for number in range(1, 5)
    ]
    assert cluster.on(host).pipeline().sort("{t}ids", get="nobody_*").execute() == [[None] * 4]


def test_explain_tells_of_the_patterns(cluster: Cluster) -> None:
    refused = cluster.explain("sort", "{t}ids", by="weight_*", get=["#", "{t}obj_*->f"])
    assert [place.key for place in refused.patterns] == [b"weight_*", b"{t}obj_*"]
    assert "any host: b'weight_*'" in refused.refused
    assert refused.parts == ()
    (part,) = cluster.explain("sort", "{t}ids", by="{t}weight_*").parts
    assert part.keys == (b"{t}ids",)


def test_on_one_host_with_a_router_any_pattern_will_do(redis_servers: Servers) -> None:
    for router in ("rendezvous", "consistent", "redis-slots", "round-robin"):
        (server,) = redis_servers(1)
        with cluster_of(server, router=router) as cluster:
            cluster.on(0).flushdb()
            fill(cluster)
            assert cluster.sort("ids", by="weight_*", get="obj_*") == [b"o4", b"o3", b"o2", b"o1"]
            if router != "round-robin":
                assert cluster.on_key("ids").sort("ids", by="h_*->f") == [b"4", b"3", b"2", b"1"]


@pytest.mark.parametrize("router", [None, "round-robin"])
def test_where_each_host_has_all_data_any_host_answers(redis_servers: Servers, router: Any) -> None:
    with cluster_of(*redis_servers(2), router=router) as cluster:
        for host in cluster:
            fill(cluster.on(host))
        found = cluster.sort("ids", by="weight_*")
        assert found == [b"4", b"3", b"2", b"1"] if router else [[b"4", b"3", b"2", b"1"]] * 2


def test_a_key_that_is_rerouted_takes_its_patterns_along(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    """And where the keys of a pattern would part from the list, the command fails as its host does."""
    servers = [new_redis_server() for _ in range(3)]
    router = {"name": "consistent", "hash_tags": True}
    with cluster_of(*servers, router=router, on_host_down="reroute", retry={"attempts": 1}) as cluster:
        locate = cluster.router.locate
        tags = [f"{{{number}}}" for number in range(500)]
        mine = next(tag for tag in tags if locate(tag.encode()) == "0")
        stand_in = locate(mine.encode(), ["0"])
        parting = next(
            tag for tag in tags if locate(tag.encode()) == "0" and locate(tag.encode(), ["0"]) != stand_in
        )
        servers[0].stop()
        fill(cluster, mine)
        assert cluster.sort(f"{mine}ids", by=f"{mine}weight_*", get=f"{mine}obj_*") == [
            b"o4",
            b"o3",
            b"o2",
            b"o1",
        ]
        assert cluster.on(stand_in).exists(f"{mine}ids") == 1
        with pytest.raises(HostDown) as down:
            cluster.sort(f"{mine}ids", by=f"{parting}weight_*")
        assert "it cannot go to other hosts instead: SORT: its keys live on several hosts" in "".join(
            down.value.__notes__
        )


# asyncio -----------------------------------------------------------------------------------------------------------


async def async_map(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    async with cluster.map() as conn:
        promise = call(conn)
    return promise.value


async def async_transaction(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    async with cluster.map(transaction=True) as conn:
        promise = call(conn)
    return promise.value


async def async_pipeline(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    (value,) = await call(cluster.pipeline()).execute()
    return value


async def async_key_pipeline(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    (value,) = await call(cluster.on_key("{t}ids").pipeline()).execute()
    return value


async def async_call(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    return await call(cluster)


async def async_on_key(cluster: AsyncCluster, call: Callable[[Any], Any]) -> Any:
    return await call(cluster.on_key("{t}ids"))


ASYNC_ROADS = [async_call, async_map, async_transaction, async_pipeline, async_key_pipeline, async_on_key]


@pytest.mark.parametrize("road", ASYNC_ROADS)
def test_asyncio_refuses_and_answers_alike(redis_servers: Servers, plain: redis.Redis, road: Any) -> None:
    async def scenario() -> None:
        async with async_cluster_of(*servers, router=TAGS) as cluster:
            for wrong in options(""):
                with pytest.raises(RoutingError, match=r"pattern|any host"):
                    await road(cluster, sorting(wrong))
            for right in options("{t}"):
                found = await road(cluster, sorting(right))
                assert found == plain.sort("{t}ids", **right)

    servers = redis_servers(3)
    with cluster_of(*servers, router=TAGS) as cluster:
        fill(cluster, "{t}")
        before = cluster.dbsize()
        assert sum(before) == 13
    in_loop(scenario)


# The words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "patterns"),
    [
        ("SORT k", []),
        ("SORT k BY nosort GET #", []),
        ("SORT k BY w_*", ["w_*"]),
        ("SORT k by w_* GET o_* get o_* Get p_*->f", ["w_*", "o_*", "p_*"]),
        ("SORT k LIMIT BY x* GET y*", ["y*"]),
        ("SORT k STORE BY GET y*", ["y*"]),
        ("SORT k BY BY GET GET", []),
        ("SORT BY GET x*", ["x*"]),
        ("SORT k BY", []),
        ("SORT k GET h_*->", ["h_*->"]),
        ("SORT k GET a->b*->f", ["a->b*"]),
        ("SORT k GET *->a->b", ["*"]),
        ("SORT k GET #*", ["#*"]),
        ("SORT k GET x\0*", []),
        ("SORT k GET x*\0->f", ["x*\0->f"]),
        ("SORT k GET x*->\0f", ["x*->\0f"]),
    ],
)
def test_patterns_are_read_as_the_server_reads_them(words: str, patterns: list[str]) -> None:
    assert key_patterns(words.encode().split(b" ")) == [pattern.encode() for pattern in patterns]


@pytest.fixture(scope="module")
def sorter() -> Iterator[redis.Redis]:
    server = PrivateServer().wait()
    with redis.Redis(unix_socket_path=server.path) as client:
        yield client
    server.stop()


MARKS = st.lists(st.sampled_from([b"*", b"->", b"-", b">", b"\0", b"#", b"k", b"f"]), max_size=6).map(
    b"".join
)


@fuzz(100)
@given(pattern=MARKS)
def test_the_server_reads_the_key_that_a_pattern_makes(sorter: redis.Redis, pattern: bytes) -> None:
    """Only the key with the element in the place of the star exists: as text, or as a hash with the field."""
    sorter.flushdb()
    sorter.rpush("the list", "1")
    made = key_patterns([b"SORT", b"the list", b"GET", pattern])
    for each in made:
        key, field = each.replace(b"*", b"1", 1), pattern[len(each) + 2 :]
        sorter.hset(key, field, "here") if field else sorter.set(key, "here")
    answer: Any = sorter.sort("the list", get=[pattern])  # type: ignore[list-item]  # bytes will do
    (value,) = answer
    itself = pattern.partition(b"\0")[0] == b"#"
    assert value == (b"here" if made else b"1" if itself else None), pattern
