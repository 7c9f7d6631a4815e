"""URLs and addresses of Redis hosts: read in one way, or refused at once with the way to write them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clusters import cluster_of
from nydus_core import ConfigError, HostDown, create_async_cluster, create_cluster
from nydus_redis import Redis
from nydus_redis.embedded import PrivateServer
from nydus_redis.options import from_url


def engine_of(given: Any, engine: str = "valkey") -> Any:
    (host,) = create_cluster({"engine": engine, "hosts": [given]}).hosts.values()
    return host


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://", {}),
        ("redis://h", {"host": "h"}),
        ("valkey://h:1/2", {"host": "h", "port": 1, "db": 2}),
        ("redis://h/", {"host": "h"}),
        ("redis://h/3/", {"host": "h", "db": 3}),
        ("rediss://u:p%2F@h", {"username": "u", "password": "p/", "host": "h", "ssl": True}),
        ("valkeys://[::1]:1", {"host": "::1", "port": 1, "ssl": True}),
        ("redis://:p@h", {"password": "p", "host": "h"}),
        (
            "unix://u:p@/run/x.sock?db=1",
            {"username": "u", "password": "p", "unix_socket_path": "/run/x.sock", "db": "1"},
        ),
        (
            "redis://h?socket_keepalive=yes&timeout=2&password=p%2525",
            {"host": "h", "socket_keepalive": True, "timeout": "2", "password": "p%25"},
        ),
    ],
)
def test_a_url_stands_for_options(url: str, options: dict[str, Any]) -> None:
    assert from_url(url) == options
    assert Redis.from_url(url) == options


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "redis://h/1/0",
            "the path is not the plain number of a database, as in redis://host:6379/0; .*percent-encode",
        ),
        ("redis://h/abc", "the path is not the plain number"),
        ("redis://h/-1", "the path is not the plain number"),
        ("redis://h//1", "the path is not the plain number"),
        ("redis://:123#pw@prod:6379/0", "it has a '#', .*percent-encode it"),
        ("redis://user:7?x@prod", "it has a '@' behind the host; .*percent-encode it"),
        (
            "unix://relative/path",
            "the path of a unix socket begins with a third slash: unix:///run/redis.sock; .*percent-encode",
        ),
        ("unix://", "the path of a unix socket begins with a third slash"),
    ],
)
@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
def test_a_url_that_readers_take_for_another_is_refused(
    url: str, why: str, create: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"^hosts\[0\]: found str '\w+://\*\*\*': {why}"):
        create({"engine": "redis", "hosts": [url]})


@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
def test_valkey_is_an_engine_and_options_in_urls_are_converted(create: Callable[..., Any]) -> None:
    url = "valkey://h?weight=2&timeout=0.5&decode_responses=true&protocol=3&max_connections=7&client_name=12"
    cluster = create({"engine": "valkey", "router": "rendezvous", "hosts": {"a": url}})
    engine = cluster["a"]
    assert (engine.timeout, engine.decodes, engine.host) == (0.5, True, "h")
    assert cluster.router.nodes[0].weight == 2


def test_tls_is_part_of_the_scheme() -> None:
    import redis

    for scheme in ("rediss", "valkeys"):
        assert issubclass(engine_of(f"{scheme}://h").pool.connection_class, redis.SSLConnection)


@pytest.mark.parametrize(
    ("given", "identifier"),
    [
        ("[::1]:6380", "redis://::1:6380/0"),
        ("[::1]", "redis://::1:6379/0"),
        ("::1", "redis://::1:6379/0"),
        ("/run/m.sock", "unix:///run/m.sock?db=0"),
        ("unix:/run/m.sock", "unix:///run/m.sock?db=0"),
    ],
)
def test_an_address_is_understood(given: str, identifier: str) -> None:
    assert engine_of(given).identifier == identifier


@pytest.mark.parametrize(
    "given", ["localhost:6379/1", "a,b", "localhost:", "localhost:abc", ":6379", "u@h:1"]
)
def test_any_other_text_is_refused_at_once(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^hosts\[0\]: found str"):
        engine_of(given)


@pytest.mark.parametrize("host", ["[::1]", "localhost:6380", "/run/m.sock", "a,b"])
def test_so_is_such_an_option_and_such_an_argument(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^hosts\[0\]\.host: found"):
        engine_of({"host": host})
    with pytest.raises(ConfigError, match=r"^host: found"):
        Redis(0, host)


def test_a_host_is_reached_over_ipv6_and_a_path(redis_servers: Callable[..., list[PrivateServer]]) -> None:
    (server,) = redis_servers(1)
    with create_cluster({"engine": "valkey", "hosts": [f"unix:{server.path}"]}) as cluster:
        assert cluster.ping() is True


def test_a_port_without_tls_is_told(redis_servers: Callable[..., list[PrivateServer]]) -> None:
    (server,) = redis_servers(1, tcp=True)
    settings = {
        "engine": "redis",
        "hosts": [f"rediss://127.0.0.1:{server.port}?timeout=0.3"],
        "retry": {"attempts": 1},
        "health": {"failures": 1, "backoff": 100, "most": 100},
    }
    told = "this host is asked for TLS .*, which its port may not speak"
    with create_cluster(settings) as cluster:
        for _ in range(2):  # tried, and taken for down
            with pytest.raises(HostDown, match=told):
                cluster.get("a")

    async def main() -> None:
        async with create_async_cluster(settings) as cluster:
            for _ in range(2):
                with pytest.raises(HostDown, match=told):
                    await cluster.get("a")

    asyncio.run(main())


def test_a_host_that_is_not_there_is_not_said_to_lack_tls() -> None:
    with (
        create_cluster({"engine": "redis", "hosts": ["rediss://127.0.0.1:1"]}) as cluster,
        pytest.raises(HostDown) as caught,
    ):
        cluster.get("a")
    assert "TLS" not in str(caught.value)


def test_an_embedded_host_has_no_address_and_says_why() -> None:
    for name in ("host", "port", "password", "unix_socket_path"):
        with pytest.raises(ConfigError, match="an embedded host has a private server of its own") as caught:
            create_cluster({"engine": "embedded", "hosts": {"a": {name: 1}}})
        assert caught.value.path == f"hosts['a'].{name}"


def test_methods_of_a_surface_are_named_as_they_are_called(
    redis_servers: Callable[..., list[PrivateServer]],
) -> None:
    with cluster_of(*redis_servers(1)) as cluster:
        with pytest.raises(TypeError, match=r"^pipeline\(\) got an unexpected keyword argument 'atomic'"):
            cluster.pipeline(atomic=True)
        with pytest.raises(TypeError, match=r"^pipeline\(\) got an unexpected keyword argument 'atomic'"):
            cluster.on(0).pipeline(atomic=True)
