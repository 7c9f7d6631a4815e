"""The options of a host: what may be given, what it becomes, and what is refused, with its place."""

from __future__ import annotations

import inspect
import socket
import ssl
from typing import Any

import pytest
from pymemcache.client.base import KeepaliveOpts, PooledClient

from memcached import MemcachedServer
from nydus_core import ConfigError, create_cluster
from nydus_memcache import Memcache


def cluster_with(*hosts: Any, **settings: Any) -> Any:
    return create_cluster({"engine": Memcache, "hosts": list(hosts), **settings})


@pytest.mark.parametrize(
    ("given", "server", "identifier"),
    [
        ({}, ("localhost", 11211), "memcache://localhost:11211/"),
        (["10.0.0.1", 11212], ("10.0.0.1", 11212), "memcache://10.0.0.1:11212/"),
        ("cache1", ("cache1", 11211), "memcache://cache1:11211/"),
        ({"unix_socket_path": "/run/m.sock"}, "/run/m.sock", "memcache:///run/m.sock"),
        ({"host": "h", "identifier": "mine"}, ("h", 11211), "mine"),
        ("memcached://h", ("h", 11211), "memcache://h:11211/"),
        ("memcache://h:5/", ("h", 5), "memcache://h:5/"),
        ("memcached://[::1]:5", ("::1", 5), "memcache://::1:5/"),
        ("memcached:///run/my%20m.sock", "/run/my m.sock", "memcache:///run/my m.sock"),
        ("memcached://", ("localhost", 11211), "memcache://localhost:11211/"),
    ],
)
def test_a_host_is_given_in_many_ways(given: Any, server: Any, identifier: str) -> None:
    (engine,) = cluster_with(given).hosts.values()
    assert engine.address.server == server
    assert engine.identifier == identifier


@pytest.mark.filterwarnings("ignore::nydus_core.SettingsWarning")  # a weight without a router
def test_a_url_may_hold_options() -> None:
    url = "memcached://h?timeout=2&key_prefix=app:&max_pool_size=3&no_delay=false&weight=2"
    (engine,) = cluster_with(url).hosts.values()
    assert (engine.timeout, engine.connect_timeout) == (2.0, 2.0)
    assert engine.options == {"key_prefix": "app:", "max_pool_size": 3, "no_delay": False}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memcached://user:secret@h", "no users and passwords"),
        ("memcached://h/path", "a path after the port means nothing; .*memcached:///run/server.sock"),
        ("memcached://h:port", "a port that is no number from 1 to 65535"),
        ("memcached://:123#x@prod", "it has a '#', .*percent-encode it"),
        ("memcached://h/x@y", "it has a '@' behind the host; .*percent-encode it"),
        ("redis://h", "takes memcached://, memcache://"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_with_its_place(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        cluster_with(url)
    assert caught.value.path == "hosts[0]"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path", "why"),
    [
        ("memcached://h?no_delay=maybe", "no_delay", "found str 'maybe'; expected true or false"),
        (
            "memcached://h?timeout=soon",
            "timeout",
            "found str 'soon'; expected a whole number or a number or none",
        ),
        (
            "memcached://h?ignore_exc=1",
            "ignore_exc",
            "not for a host of a cluster: a host that fails is not a key",
        ),
    ],
)
def test_an_option_in_a_url_is_refused_with_its_place(url: str, path: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        cluster_with(url)
    assert caught.value.path == f"hosts[0].{path}"


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ("[::1]:11212", ("::1", 11212)),
        ("::1", ("::1", 11211)),
        ("/run/m.sock", "/run/m.sock"),
        ("unix:/run/m.sock", "/run/m.sock"),
        ("memcached://[::1]:11212", ("::1", 11212)),
    ],
)
def test_an_address_may_be_ipv6_or_a_path(given: str, server: Any) -> None:
    (engine,) = cluster_with(given).hosts.values()
    assert engine.address.server == server


@pytest.mark.parametrize(
    "given", ["localhost:", "localhost:abc", ":11211", "a,b", "h/1", {"host": "[::1]"}, {"host": "h:1"}]
)
def test_an_address_that_would_only_fail_later_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^hosts\[0\]"):
        cluster_with(given)


def test_an_error_names_a_method_as_it_was_called() -> None:
    cluster: Any = cluster_with({})
    with pytest.raises(TypeError, match=r"^set\(\) got an unexpected keyword argument 'ex'"):
        cluster.set("a", 1, ex=3)
    with pytest.raises(TypeError, match=r"^set\(\) missing 1 required"), cluster.map() as conn:
        conn.set("a")


def test_one_timeout_is_for_connecting_and_for_answers_and_each_may_be_given() -> None:
    def timeouts(**options: Any) -> Any:
        (engine,) = cluster_with(options).hosts.values()
        return engine.address.connect_timeout, engine.address.timeout

    assert timeouts() == (5.0, 5.0)
    assert timeouts(timeout=2) == (2, 2)
    assert timeouts(timeout=None) == (None, None)
    assert timeouts(timeout=2, connect_timeout=1) == (1, 2)


def test_without_any_limit_of_time_commands_work(memcached_servers: Any) -> None:
    (server,) = memcached_servers(1)
    with cluster_with({"unix_socket_path": server.path, "timeout": None}) as cluster:
        cluster.set_many({f"key{number}": b"v" * 1000 for number in range(5000)})
        assert cluster.get("key4999") == b"v" * 1000


@pytest.mark.parametrize(
    ("options", "path", "why"),
    [
        ({"hots": "h"}, "hosts[0].hots", "unknown setting; did you mean 'host'"),
        ({"port": "11211"}, "hosts[0].port", "expected int"),
        ({"timeout": "5"}, "hosts[0].timeout", "expected int or float or None"),
        ({"key_prefix": 5}, "hosts[0].key_prefix", "expected str or bytes"),
        ({"tls_context": True}, "hosts[0].tls_context", "expected SSLContext or None"),
        ({"pickle": 1}, "hosts[0].pickle", "expected bool"),
    ],
)
def test_a_wrong_option_is_refused_with_its_place(options: dict[str, Any], path: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        cluster_with(options)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("options", "name", "why"),
    [
        ({"default_noreply": True}, "default_noreply", "refuses has to be an error"),
        ({"ignore_exc": True}, "ignore_exc", "not a key that is missing"),
        ({"socket_module": ssl}, "socket_module", "opens its own sockets"),
        ({"binary": True}, "binary", "text protocol"),
        ({"behaviors": {"cas": True}}, "behaviors", "pylibmc"),
        ({"timeout": 0}, "timeout", "more than 0, or None"),
        ({"connect_timeout": -1}, "connect_timeout", "more than 0"),
        ({"max_pool_size": 0}, "max_pool_size", "1 or more"),
        ({"key_prefix": "grüße"}, "key_prefix", "expected ASCII text, or bytes"),
        ({"key_prefix": "my app:"}, "key_prefix", "without white space"),
        ({"pickle": True, "serde": object()}, "serde", "more than one of"),
        ({"serde": object()}, "serde", "has no serialize"),
        (
            {"unix_socket_path": "/s", "tls_context": ssl.create_default_context()},
            "tls_context",
            "no TLS over",
        ),
    ],
)
def test_an_option_that_would_undo_what_is_promised_is_refused(
    options: dict[str, Any], name: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        cluster_with(options)
    assert caught.value.path == f"hosts[0].{name}"


def test_options_that_are_off_anyway_may_be_said() -> None:
    cluster_with({"default_noreply": False, "ignore_exc": False})


def test_options_reach_the_socket(memcached_servers: Any) -> None:
    (server,) = memcached_servers(1, tcp=True)
    keepalive = KeepaliveOpts(idle=7, intvl=3, cnt=2)
    for no_delay in (True, False):
        host = {"host": "127.0.0.1", "port": server.port, "socket_keepalive": keepalive, "no_delay": no_delay}
        (engine,) = cluster_with(host).hosts.values()
        link = engine.address.connect()
        options = [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        ]
        assert [int(link._sock.getsockopt(*option)) for option in options] == [1, 7, int(no_delay)]
        link.close()


def test_every_option_of_pymemcache_is_known() -> None:
    theirs = set(inspect.signature(PooledClient).parameters) - {"server"}
    assert theirs <= set(Memcache.option_types())


def test_the_engine_is_found_by_its_documented_names(servers: list[MemcachedServer]) -> None:
    from nydus.db.backends.memcache import Memcache as Documented

    assert Documented is Memcache
