"""Every method of redis-py, on a cluster, in a ``map()`` and in a pipeline: none ends in a connection that there is not."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from nydus_core import Cluster, NydusError, RoutingError, create_cluster
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.surface import clients as surface

NAMES = [
    name
    for name in dir(redis.Redis)
    if not name.startswith("_") and callable(inspect.getattr_static(redis.Redis, name, None))
]


@pytest.fixture
def nowhere() -> Iterator[Cluster]:
    """A cluster whose hosts are all down."""
    hosts = [{"unix_socket_path": f"/nowhere/{number}"} for number in range(3)]
    settings = {"engine": "redis", "router": "rendezvous", "hosts": hosts, "retry": {"attempts": 1}}
    with create_cluster(settings) as cluster:
        yield cluster


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    found: list[None] = []

    def get_connection(*args: Any, **kwargs: Any) -> None:
        found.append(None)
        raise AssertionError("there is no connection")

    monkeypatch.setattr(surface._NoPool, "get_connection", get_connection)
    return found


def called(method: Callable[..., Any]) -> Any:
    """Call a method with something for each argument that it needs."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except ValueError:
        parameters = ()  # type: ignore[assignment]
    needed = [each for each in parameters if each.default is each.empty and each.kind in (0, 1)]
    for filler in ("1", 1, ["1"], {"1": 1}, b"1"):
        try:
            result = method(*[filler] * len(needed))
            return list(result) if inspect.isgenerator(result) else result
        except NydusError as error:
            return error
        except Exception as error:
            last = error
    return last


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["cluster", "map", "pipeline"])
def test_no_method_asks_for_a_connection_that_there_is_not(
    nowhere: Cluster, connects: list[None], kind: str
) -> None:
    client: Any = {
        "cluster": lambda: nowhere,
        "map": lambda: nowhere.map().__enter__(),
        "pipeline": nowhere.pipeline,
    }[kind]()
    asking = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            connects.clear()
            method = getattr(client, name)
            if callable(method):
                called(method)
            if connects:
                asking.append(name)
    assert asking == []


@pytest.mark.parametrize(
    ("call", "way"),
    [
        (lambda c: c.transaction(print, "k"), r"cluster\.on_key\(key\)\.transaction\(\)"),
        (lambda c: c.monitor(), r"cluster\.on\(host\)\.monitor\(\)"),
        (lambda c: c.client(), r"cluster\.on\(host\)\.client\(\)"),
        (lambda c: c.himport_prepare("f", ["a"]), r"cluster\.on\(host\)\.client\(\)"),
        (lambda c: c.on(0).himport_prepare("f", ["a"]), r"cluster\.on\(host\)\.client\(\)"),
        (lambda c: c.json().pipeline(), r"cluster\.on\(host\)"),
        (lambda c: c.ft("index").pipeline(), r"cluster\.on\(host\)"),
        (lambda c: c.ts().pipeline(), r"cluster\.on\(host\)"),
        (lambda c: c.on_key("k").json().pipeline(), r"cluster\.on\(host\)"),
        (lambda c: c.select(1), r"cluster\.on\(host\)"),
        (lambda c: c.on(0).select(1), r"cluster\.on\(host\)\.client\(\)"),
        (lambda c: c.client_id(), r"cluster\.on\(host\)"),
        (lambda c: c.client_tracking_on(), r"cluster\.on\(host\)"),
        (lambda c: c.set_retry(None), "the cluster alone decides"),
        (lambda c: c.from_url("redis://h"), "create_cluster"),
    ],
)
def test_what_belongs_to_a_connection_is_refused_with_the_way(
    nowhere: Cluster, call: Callable[[Any], Any], way: str
) -> None:
    with pytest.raises(RoutingError, match=way):
        call(nowhere)


def test_what_reads_replies_can_be_set_for_all(redis_servers: Callable[..., list[PrivateServer]]) -> None:
    hosts = [{"unix_socket_path": server.path} for server in redis_servers(2)]
    with create_cluster({"engine": "redis", "router": "rendezvous", "hosts": hosts}) as cluster:
        cluster.set_response_callback("GET", lambda reply, **options: ("read", reply))
        cluster.set("k", 1)
        assert cluster.get("k") == ("read", b"1")
        assert cluster.pipeline().get("k").execute() == [("read", b"1")]


def test_groups_of_commands_have_pipelines_on_one_host(nowhere: Cluster) -> None:
    assert nowhere.on(0).json().pipeline() is not None
    assert nowhere.on(0).ts().pipeline() is not None
