"""The web service of ``examples``: asked as a client would, with its lifespan, on real servers that fail."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from given import NewRedisServer, Proxies, RedisServers
from nydus_core.testing import FaultProxy
from waiting import TooShort, long_enough, until_async

httpx = pytest.importorskip("httpx", reason="the dependency group 'test' brings httpx")
pytest.importorskip("starlette", reason="the dependency group 'test' brings starlette")

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

EXAMPLE = Path(__file__).parent.parent / "examples/web_service.py"
PAGES = [f"page-{number}" for number in range(30)]
#: Seconds of a request where it should not matter: a test that waits for this has failed.
LONG = 50.0
FOREVER = 3600.0


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("web_service", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Service:
    """The service while it runs, and who asks it."""

    def __init__(self, app: Any) -> None:
        self.cluster = app.state.cluster
        self._app = app

    def client(self, address: str = "10.0.0.1") -> Any:
        transport = httpx.ASGITransport(app=self._app, client=(address, 1234))
        return httpx.AsyncClient(transport=transport, base_url="http://service")

    def home(self, key: str) -> str:
        name: str = self.cluster.router.locate(key.encode())
        return name

    def page_on(self, host: str) -> str:
        return next(page for page in PAGES if self.home(f"views:{page}") == host)

    def address_on(self, host: str) -> str:
        """The address of a client whose requests are counted on a host."""
        addresses = (f"10.0.0.{number}" for number in range(1, 200))
        return next(each for each in addresses if self.home(f"requests:{each}") == host)


@pytest.fixture
def run(example: Any) -> Callable[..., None]:
    """Run an asynchronous test on the service over some hosts."""

    @asynccontextmanager
    async def running(hosts: dict[str, Any], **settings: Any) -> AsyncIterator[Service]:
        options = {name: settings.pop(name) for name in ("seconds", "limit") if name in settings}
        settings = {"engine": "redis", "router": "rendezvous", "hosts": hosts, **settings}
        app = example.create_app(settings, **{"seconds": LONG, "limit": 10**6, **options})
        async with app.router.lifespan_context(app):
            yield Service(app)

    def run(test: Callable[[Service], Any], hosts: dict[str, Any], **settings: Any) -> None:
        async def main() -> None:
            async with running(hosts, **settings) as service:
                await test(service)

        asyncio.run(main())

    return run


def at(servers: list[Any]) -> dict[str, Any]:
    return {name: {"unix_socket_path": each.path} for name, each in zip("abc", servers, strict=False)}


def test_views_are_counted_and_shown(run: Callable[..., None], redis_servers: RedisServers) -> None:
    async def test(service: Service) -> None:
        async with service.client() as client:
            assert [(await client.post("/pages/home")).json() for _ in range(2)] == [{"home": 1}, {"home": 2}]
            assert (await client.post("/pages/about")).json() == {"about": 1}
            shown = await client.get("/pages?page=home&page=nobody&page=about")
            assert shown.json() == {"home": 2, "nobody": 0, "about": 1}
            assert (await client.get("/pages")).json() == {}
            health = await client.get("/health")
            assert (health.status_code, health.json()) == (200, dict.fromkeys("abc", "closed"))

    run(test, at(redis_servers(3)))


def test_the_cluster_is_closed_with_the_service(
    example: Any, redis_servers: RedisServers, proxy: Proxies
) -> None:
    front = proxy(redis_servers(1)[0])
    settings = {"engine": "redis", "router": "rendezvous", "hosts": at([front])}
    app = example.create_app(settings, seconds=LONG)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            async with Service(app).client() as client:
                assert (await client.post("/pages/home")).json() == {"home": 1}
            assert front.open_connections == 2  # one for all commands, and one for the transaction
        await until_async(lambda: front.open_connections == 0)  # and not only as its event loop ends

    asyncio.run(main())


def test_a_client_that_asks_too_often_is_told_to_wait_and_no_other(
    run: Callable[..., None], redis_servers: RedisServers
) -> None:
    async def test(service: Service) -> None:
        async with service.client("10.0.0.1") as busy, service.client("10.0.0.2") as other:
            answers = [await busy.post("/pages/home") for _ in range(5)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
            assert answers[-1].headers["Retry-After"] == "60"
            assert (await other.post("/pages/home")).json() == {"home": 4}
        assert 0 < await service.cluster.ttl("requests:10.0.0.1") <= 60

    run(test, at(redis_servers(3)), limit=3)


def test_many_requests_at_once_over_few_connections_are_all_counted(
    run: Callable[..., None], redis_servers: RedisServers
) -> None:
    async def test(service: Service) -> None:
        before = await opened(service)
        async with service.client() as client, asyncio.TaskGroup() as group:
            tasks = {
                page: [group.create_task(client.post(f"/pages/{page}")) for _ in range(10)] for page in PAGES
            }
        for page, asked in tasks.items():
            assert sorted(task.result().json()[page] for task in asked) == list(range(1, 11))
        after = await opened(service)
        # that of all tasks was open before; those of transactions were not
        assert all(then - first <= 4 for first, then in zip(before, after, strict=True))

    async def opened(service: Service) -> list[int]:
        return [host["total_connections_received"] for host in await service.cluster.info("stats")]

    run(test, at(redis_servers(3)), defaults={"max_connections": 4})


def test_a_host_that_is_down_costs_its_own_pages_and_comes_back(
    run: Callable[..., None], new_redis_server: NewRedisServer
) -> None:
    servers = [new_redis_server() for _ in range(3)]

    async def test(service: Service) -> None:
        lost, kept = service.page_on("b"), service.page_on("c")
        async with service.client(service.address_on("a")) as client:
            assert (await client.post(f"/pages/{lost}")).status_code == 200
            servers[1].kill()
            for _ in range(20):
                answer = await client.post(f"/pages/{lost}")
                assert (answer.status_code, answer.json()) == (503, {"error": "not sent"})
                assert answer.headers["Retry-After"] == "1"
            counted = [(await client.post(f"/pages/{kept}")).json()[kept] for _ in range(5)]
            assert counted == [1, 2, 3, 4, 5]
            health = await client.get("/health")
            assert health.status_code == 200
            assert {name: state == "closed" for name, state in health.json().items()} == {
                "a": True,
                "b": False,
                "c": True,
            }
            servers[1].restart()
            while (await client.post(f"/pages/{lost}")).status_code != 200:
                await asyncio.sleep(0.01)
            assert set((await client.get("/health")).json().values()) == {"closed"}

    run(test, at(servers), health={"failures": 3, "backoff": 0.05, "most": 0.1})


def test_no_host_at_all_is_not_well(run: Callable[..., None], new_redis_server: NewRedisServer) -> None:
    server = new_redis_server()

    async def test(service: Service) -> None:
        server.kill()
        async with service.client() as client:
            assert (await client.post("/pages/home")).status_code == 503
            health = await client.get("/health")
            assert (health.status_code, list(health.json())) == (503, ["a"])
            assert health.json()["a"] != "closed"

    run(test, at([server]), health={"failures": 1})


def test_a_limiter_that_is_down_lets_requests_pass(
    run: Callable[..., None], new_redis_server: NewRedisServer
) -> None:
    servers = [new_redis_server() for _ in range(2)]

    async def test(service: Service) -> None:
        page = service.page_on("b")
        async with service.client(service.address_on("a")) as client:
            servers[0].kill()
            assert [(await client.post(f"/pages/{page}")).json()[page] for _ in range(3)] == [1, 2, 3]

    run(test, at(servers), limit=1)


def test_a_host_that_does_not_answer_in_time_may_have_counted_a_view(
    run: Callable[..., None], redis_servers: RedisServers
) -> None:
    servers = redis_servers(2)
    with FaultProxy(servers[1]) as proxy:

        async def test(service: Service) -> None:
            page, other = service.page_on("b"), service.page_on("a")
            async with service.client(service.address_on("a")) as client:
                before = await shown(client, page, other)  # there are connections now
                proxy.blackhole = True
                answer = await client.post(f"/pages/{page}")
                if answer.json() == {"error": "not sent"}:
                    proxy.blackhole = False
                    raise TooShort
                assert (answer.status_code, answer.json()) == (503, {"error": "maybe applied"})
                assert "Retry-After" not in answer.headers  # sent again, it could count twice
                read = await client.get(f"/pages?page={page}&page={other}")
                assert (read.status_code, read.headers["Retry-After"]) == (503, "1")
                assert await shown(client, other) == {other: 0}
                proxy.blackhole = False
                assert (await shown(client, page))[page] - before[page] in (0, 1)

        async def shown(client: Any, *pages: str) -> Any:
            while True:
                answer = await client.get("/pages", params={"page": pages})
                if answer.status_code == 200:
                    return answer.json()

        hosts = {"a": {"unix_socket_path": servers[0].path}, "b": {"unix_socket_path": proxy.path}}
        long_enough(lambda seconds: run(test, hosts, seconds=seconds), 0.2)


def test_a_request_that_is_cancelled_while_its_view_is_counted_leaves_no_answer_to_the_next(
    run: Callable[..., None], redis_servers: RedisServers
) -> None:
    servers = redis_servers(2)
    with FaultProxy(servers[1]) as proxy:

        async def test(service: Service) -> None:
            page, other = [page for page in PAGES if service.home(f"views:{page}") == "b"][:2]
            async with service.client(service.address_on("a")) as client:
                await client.post(f"/pages/{other}")  # so that its count is another one
                for number in range(1, 6):
                    proxy.requests.clear()
                    proxy.delay = FOREVER  # the answer is on its way when the task is cancelled
                    task = asyncio.create_task(client.post(f"/pages/{page}"))
                    await until_async(lambda: page.encode() in b"".join(proxy.requests))
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    proxy.delay = 0
                    assert (await client.post(f"/pages/{other}")).json() == {other: number + 1}
                assert (await client.get(f"/pages?page={page}&page={other}")).json() == {page: 5, other: 6}

        run(test, {"a": {"unix_socket_path": servers[0].path}, "b": {"unix_socket_path": proxy.path}},
            defaults={"max_connections": 1})  # fmt: skip
