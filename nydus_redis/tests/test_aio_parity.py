"""Every public method of ``redis.asyncio.Redis``, on an asynchronous cluster: see ``test_parity.py``, which asks the same of the
blocking one.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import redis.asyncio

from against_client import OLD, Side, differs, known, methods
from all_calls import KEYED, LEFT_OUT, SAMPLES
from module_calls import MODULES_EVERYWHERE, MODULES_ON_ONE_HOST
from nydus_core import AsyncCluster, RoutingError, create_async_cluster
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.embedded.server import PrivateServer, _bundled_server
from nydus_redis.surface.clients import Surfaces
from nydus_redis.surface.clients_aio import AsyncSurfaces
from other_calls import ABOUT_A_CONNECTION, EVERYWHERE, NOT_IMPLEMENTED, ON_A_CONNECTION, ON_ONE_HOST
from sample_calls import Call, made, made_and_awaited, name_of
from waiting import LONG

#: Methods that only the asynchronous client has, and why there is no sample.
# Two hosts of one address are enough here
pytestmark = pytest.mark.filterwarnings("ignore::nydus_core.SettingsWarning")


LEFT_OUT_HERE = {
    "aclose": "the cluster's own",
    "initialize": "a cluster connects at the first command",
}

#: What redis-py's asynchronous groups forget to await: of a plain client too they fail, or answer a coroutine.
BROKEN = {"ft.profile", "ft.syndump"}

#: What asynchronous clients of redis-py have no methods for.
NOT_HERE = {"himport_prepare", "himport_discard", "himport_discard_all", "sentinel", "get_cache"}

#: The protocol, and whether answers are decoded. The other pairs are those of test_parity.
MODES = [(2, True), (3, False)]


def of_this_version(samples: Sequence[Call]) -> list[Call]:
    return [sample for sample in known(list(samples), redis.asyncio.Redis()) if name_of(sample) not in BROKEN]


def test_there_is_a_sample_of_every_method() -> None:
    sampled = {name_of(sample) for sample in SAMPLES}
    sampled.add("bitfield")  # its sample goes on: .set(...).execute()
    found = methods(redis.asyncio.Redis())
    assert sorted(found - sampled - set(LEFT_OUT) - set(LEFT_OUT_HERE)) == []


def test_what_blocking_clients_have_asynchronous_ones_have_too() -> None:
    sync, other = methods(redis.Redis()), methods(redis.asyncio.Redis())
    assert sync - other <= NOT_HERE
    assert other - sync == set(LEFT_OUT_HERE)


def test_a_cluster_has_no_methods_of_the_same_names_but_those_that_close_it() -> None:
    same = {name for name in methods(redis.asyncio.Redis()) if hasattr(AsyncCluster, name)}
    assert same == {"aclose", "close"}


@pytest.mark.parametrize("protocol", [2, 3])
def test_commands_are_the_same_as_those_of_the_blocking_surface(protocol: int) -> None:
    """All samples, so that what is known of one surface is known of the other."""

    class Cluster(list[Any]):
        router = None

    surfaces, async_surfaces = Surfaces([{"protocol": protocol}]), AsyncSurfaces([{"protocol": protocol}])

    def blocking(sample: Call) -> list[Any]:
        found: list[Any] = []
        made(sample, surfaces.of_cluster(Cluster(), found.append))
        return found

    async def asynchronous(sample: Call) -> list[Any]:
        found: list[Any] = []

        async def dispatch(command: Any) -> None:
            found.append(command)

        await made_and_awaited(sample, async_surfaces.of_cluster(Cluster(), dispatch))
        return found

    def told(commands: list[Any]) -> list[Any]:
        return [(each.packed, each.keys, each.access, each.scope, each.waits) for each in commands]

    async def main() -> list[Any]:
        wrong = []
        for sample in of_this_version([each for each in SAMPLES if each not in NOT_IMPLEMENTED]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected, found = [], []
                try:
                    expected = blocking(sample)
                except Exception as error:
                    expected = [error]
                try:
                    found = await asynchronous(sample)
                except Exception as error:
                    found = [error]
            if isinstance(expected[0], Exception) or isinstance(found[0], Exception):
                if list(map(type, expected)) != list(map(type, found)):
                    wrong.append((sample, expected, found))
            elif told(expected) != told(found):
                wrong.append((sample, told(expected), told(found)))
        return wrong

    assert asyncio.run(main()) == []


@pytest.fixture(scope="module")
def servers() -> Iterator[list[PrivateServer]]:
    with ExitStack() as stack:
        config = {"slowlog-log-slower-than": 0}
        started = [PrivateServer(config, executable=_bundled_server()) for _ in range(4)]
        yield [stack.enter_context(each) for each in started]


class Pair:
    """A plain client and an asynchronous cluster of three hosts, whose options are the same."""

    def __init__(self, servers: list[PrivateServer], stack: ExitStack, **options: Any) -> None:
        proxies = [stack.enter_context(FaultProxy(server)) for server in servers]
        self.alone, self.together = Side(servers[:1], proxies[:1]), Side(servers[1:], proxies[1:])
        stack.callback(self.alone.close)
        stack.callback(self.together.close)
        self.plain = redis.asyncio.Redis(unix_socket_path=proxies[0].path, **options)
        self.cluster: AsyncCluster = create_async_cluster(
            {
                "engine": Redis,
                "router": "rendezvous",
                "hosts": [{"unix_socket_path": proxy.path} for proxy in proxies[1:]],
                "defaults": {"timeout": LONG, **options},
            }
        )
        home = int(self.cluster.router.locate(b"{k}s"))
        self.homes = [host == home for host in range(3)]

    async def refuses(self, sample: Call, client: Any) -> bool:
        """Make a call; return whether it is refused with the way to one host, and nothing is sent."""
        self.together.forget()
        try:
            await outcome(sample, client)
        except RoutingError as error:
            return "cluster.on(host)" in str(error) and not any(self.together.sent())
        return False

    async def differences(self, sample: Call, client: Any, hosts: list[bool]) -> list[Any]:
        """Make a call on the plain client and on another one that should lead it to these hosts; return what differs."""
        self.alone.prepare([True])
        self.together.prepare(hosts)
        expected, answer = await outcome(sample, self.plain), await outcome(sample, client)
        (bytes_,), sent = self.alone.sent(), self.together.sent()
        if not bytes_ and not (OLD and expected[0] in (TypeError, AttributeError)):
            return [sample, "sends nothing"]
        if sent != [bytes_ if there else b"" for there in hosts]:
            return [sample, bytes_, *sent]
        answers = answer if sum(hosts) > 1 and type(answer) is list else [answer]
        return [(sample, expected, each) for each in answers if differs(sample, expected, each)]

    async def all_differences(self, samples: Sequence[Call], client: Any, hosts: list[bool]) -> list[Any]:
        found = [await self.differences(sample, client, hosts) for sample in of_this_version(samples)]
        return [each for each in found if each]


async def outcome(sample: Call, client: Any) -> Any:
    """The value that a call returns, or type and text of its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated and experimental methods count too
        try:
            return await made_and_awaited(sample, client)
        except RoutingError:
            raise
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"RESP{mode[0]}-{'text' if mode[1] else 'bytes'}")
def test_every_command_is_sent_and_answered_as_by_a_plain_client(
    servers: list[PrivateServer], mode: tuple[int, bool]
) -> None:
    async def main(pair: Pair) -> None:
        async with pair.plain, pair.cluster as cluster:
            await pair.plain.ping()
            await cluster.ping()
            for host in range(3):  # commands that wait have connections of their own, which are greeted first
                await cluster.on(host).blpop("none", timeout=0.01)
            assert await pair.all_differences(KEYED, cluster, pair.homes) == []
            everywhere = [*EVERYWHERE, *MODULES_EVERYWHERE]
            assert await pair.all_differences(everywhere, cluster, [True] * 3) == []
            one_host = of_this_version([*ON_ONE_HOST, *MODULES_ON_ONE_HOST])
            assert not [sample for sample in one_host if not await pair.refuses(sample, cluster)]
            assert await pair.all_differences(one_host, cluster.on(1), [False, True, False]) == []
            own = of_this_version(ON_A_CONNECTION)
            connection = of_this_version([*ABOUT_A_CONNECTION, *ON_A_CONNECTION])
            assert not [sample for sample in connection if not await pair.refuses(sample, cluster)]
            assert not [sample for sample in own if not await pair.refuses(sample, cluster.on(1))]
            async with cluster.on(1).client() as one, pair.plain.client() as pair.plain:
                await one.ping()
                await pair.plain.ping()
                assert await pair.all_differences(connection, one, [False, True, False]) == []

    with ExitStack() as stack:
        asyncio.run(main(Pair(servers, stack, protocol=mode[0], decode_responses=mode[1])))


@pytest.mark.parametrize("sample", NOT_IMPLEMENTED, ids=name_of)
def test_what_redis_py_itself_refuses(sample: Call) -> None:
    async def main() -> None:
        hosts = [{"unix_socket_path": "/nowhere"}] * 2
        cluster = create_async_cluster({"engine": Redis, "router": "rendezvous", "hosts": hosts})
        for client in (redis.asyncio.Redis(), cluster, cluster.on(0)):
            with pytest.raises(NotImplementedError):
                await made_and_awaited(sample, client)

    asyncio.run(main())


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.transaction(print, "k"),
        lambda c: c.monitor(),
        lambda c: c.client(),
        lambda c: c.parse_response(None, "GET"),
        lambda c: c.get_retry(),
        lambda c: c.set_retry(None),
        lambda c: c.from_url("redis://"),
        lambda c: c.json().pipeline(),
        lambda c: c.ts().pipeline(),
        lambda c: c.ft().pipeline(),
        lambda c: c.ft().sugadd("{k}"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_it_is_awaited_or_by_it(
    call: Callable[[Any], Any],
) -> None:
    async def main() -> None:
        hosts = [{"unix_socket_path": "/nowhere"}] * 2
        async with create_async_cluster({"engine": Redis, "router": "rendezvous", "hosts": hosts}) as cluster:
            with pytest.raises(RoutingError):
                await call(cluster)

    asyncio.run(main())


def test_the_old_close_closes_the_cluster(redis_servers: Callable[..., list[PrivateServer]]) -> None:
    async def main() -> None:
        (server,) = redis_servers(1)
        cluster = create_async_cluster({"engine": Redis, "hosts": [{"unix_socket_path": server.path}]})
        assert await cluster.initialize() is cluster
        others = await numbers(server)
        await cluster.ping()
        assert len(await numbers(server)) == len(others) + 1
        await cluster.close()
        assert len(await numbers(server)) == len(others)

    asyncio.run(main())


async def numbers(server: PrivateServer) -> list[str]:
    """The connections to a server, but for the one that asks."""
    async with redis.asyncio.Redis(unix_socket_path=server.path, single_connection_client=True) as other:
        own = await other.client_id()
        return [each["id"] for each in await other.client_list() if int(each["id"]) != own]


def test_shutdown_ends_the_host_that_was_named(new_redis_server: Callable[..., PrivateServer]) -> None:
    async def main() -> None:
        hosts = [{"unix_socket_path": new_redis_server().path} for _ in range(2)]
        async with create_async_cluster({"engine": Redis, "router": "rendezvous", "hosts": hosts}) as cluster:
            with pytest.raises(RoutingError, match="SHUTDOWN is for one host"):
                await cluster.shutdown(nosave=True)
            assert await cluster.ping() == [True, True]
            await cluster.on(1).shutdown(nosave=True)
            assert await cluster.on(0).ping()
            with pytest.raises(redis.ConnectionError):
                await cluster.on(1).ping()

    asyncio.run(main())
