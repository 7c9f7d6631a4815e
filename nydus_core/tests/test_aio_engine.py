"""The asynchronous engine to start from: its clients, one in each event loop, and when they are let go of."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from async_engines import AsyncMemoryEngine, AsyncStore
from clusters import NO_RETRY, async_memory_cluster
from engines import Refused
from in_loop import in_loop
from nydus_core import BaseAsyncEngine, HostDown, MaybeApplied
from nydus_core.aio.loops import PerLoop
from nydus_core.command import Command
from waiting import LONG, until_async

cluster_of = partial(async_memory_cluster, "a", router=None, retry=NO_RETRY)


def clients(cluster: Any) -> list[AsyncStore]:
    found: list[AsyncStore] = cluster["a"].clients
    return found


def waiting(cluster: Any, count: int = 1) -> Any:
    return lambda: sum(each[0] == "wait" for client in clients(cluster) for each in client.log) == count


# Commands -----------------------------------------------------------------------------------------------------------


def test_every_attribute_of_the_client_is_a_command_whether_it_has_to_be_awaited_or_not() -> None:
    async def main() -> None:
        cluster = cluster_of()
        assert await cluster.set("key", "value") is True  # a coroutine's
        assert await cluster.who() == "a"
        assert await cluster.admin.size() == 1
        async with cluster.map() as conn:
            promises = [conn.get("key"), conn.admin.drop("key"), conn.who()]
        assert promises == ["value", True, "a"]

    in_loop(main)


def test_errors_are_the_servers_answer_or_say_what_is_known_of_the_command() -> None:
    async def main() -> None:
        cluster = cluster_of()
        with pytest.raises(Refused):
            await cluster.refuse()
        with pytest.raises(MaybeApplied, match="a is gone"):
            await cluster.lose()
        async with cluster.map(fail_silently=True) as conn:
            conn.lose()
            conn.who()
        assert [type(error).__mro__[1] for _, error in conn.get_errors()] == [MaybeApplied]

    in_loop(main)


def test_a_host_that_cannot_be_connected_to_is_tried_again_by_the_next_command() -> None:
    async def main() -> None:
        cluster = cluster_of(hosts={"a": {"down": True}})
        found = await asyncio.gather(*(cluster.who() for _ in range(3)), return_exceptions=True)
        assert all(
            isinstance(error, HostDown) and isinstance(error, ConnectionRefusedError) for error in found
        )
        cluster["a"].down = False
        assert await cluster.who() == "a"

    in_loop(main)


@pytest.mark.parametrize("name", ["connect", "disconnect"])
def test_an_engine_that_does_not_define_what_it_has_to_says_so(name: str) -> None:
    class Empty(BaseAsyncEngine):
        pass

    async def main() -> None:
        engine = Empty("a")
        with pytest.raises(NotImplementedError, match=rf"Empty has to define {name}\(\)"):
            await (engine.connect() if name == "connect" else engine.disconnect(None))
        with pytest.raises(NotImplementedError, match=r"flush\(\)"):
            await engine.flush()

    in_loop(main)


# Clients ------------------------------------------------------------------------------------------------------------


def test_many_tasks_connect_once() -> None:
    async def main() -> None:
        cluster = cluster_of()
        assert sorted(await asyncio.gather(*(cluster.incr("n") for _ in range(50)))) == [*range(1, 51)]
        assert len(clients(cluster)) == 1

    in_loop(main)


def test_each_event_loop_has_a_client_of_its_own() -> None:
    cluster = cluster_of()

    async def main() -> None:
        assert await cluster.incr("n") == 1
        assert await cluster.incr("n") == 2

    for _ in range(2):
        in_loop(main)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: in_loop(main), range(8)))
    assert len(clients(cluster)) == 10


def test_a_client_in_whose_command_a_task_was_cancelled_is_used_for_no_other() -> None:
    async def main() -> None:
        cluster = cluster_of()
        cancelled, other = (asyncio.ensure_future(cluster.wait()) for _ in range(2))
        await until_async(waiting(cluster, 2))
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert await cluster.incr("n") == 1
        old, new = clients(cluster)
        assert (old.data, new.data) == ({}, {"n": 1})
        assert old.open  # the other task still uses it
        old.going.set()
        assert await other == "a"
        await until_async(lambda: not old.open)
        assert new.open

    in_loop(main)


def test_a_task_that_is_cancelled_while_it_connects_keeps_no_other_from_it() -> None:
    async def main() -> None:
        cluster = cluster_of()
        cluster["a"].connecting = asyncio.Event()
        first, second = (asyncio.ensure_future(cluster.who()) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        cluster["a"].connecting.set()
        assert await second == "a"
        assert len(clients(cluster)) == 1

    in_loop(main)


def test_a_removed_host_is_disconnected_when_no_task_uses_it() -> None:
    async def main() -> None:
        cluster = cluster_of(router="partition", hosts={"a": {}, "b": {}})
        engine = cluster["a"]
        task = asyncio.ensure_future(cluster.on("a").wait())
        idle = asyncio.ensure_future(cluster.on("b").who())
        await until_async(lambda: engine.clients and engine.clients[0].log)
        await idle
        other = cluster["b"]
        cluster.remove_host("a")
        cluster.add_host("c", {})
        cluster.remove_host("b")
        await until_async(lambda: not other.clients[0].open)
        await asyncio.sleep(0.01)
        assert engine.clients[0].open
        engine.clients[0].going.set()
        assert await task == "a"
        await until_async(lambda: not engine.clients[0].open)

    in_loop(main)


def test_a_host_that_left_while_it_was_connected_to_is_disconnected_after_that() -> None:
    async def main() -> None:
        engine = AsyncMemoryEngine("a")
        engine.connecting = asyncio.Event()
        task = asyncio.ensure_future(engine.call(Command("who", (), {})))
        await asyncio.sleep(0)
        engine.retire()
        engine.connecting.set()
        assert await task == "a"
        await until_async(lambda: not engine.clients[0].open)

    in_loop(main)


def test_a_closed_cluster_disconnects_and_connects_again_for_a_later_command() -> None:
    async def main() -> None:
        cluster = cluster_of()
        async with cluster:
            await cluster.who()
            task = asyncio.ensure_future(cluster.wait())
            await until_async(waiting(cluster))
        (client,) = clients(cluster)
        assert client.open  # a task uses it
        client.going.set()
        assert await task == "a"
        await until_async(lambda: not client.open)
        assert await cluster.who() == "a"
        await cluster.disconnect()
        await cluster.close()
        assert [client.open for client in clients(cluster)] == [False, False]

    in_loop(main)


def test_a_cluster_that_is_closed_in_one_loop_is_closed_in_the_others_too() -> None:
    cluster = cluster_of()
    used, closed = threading.Event(), threading.Event()

    async def other() -> None:
        await cluster.who()
        (client,) = clients(cluster)
        used.set()
        await until_async(closed.is_set)
        await until_async(lambda: not client.open)

    async def main() -> None:
        await cluster.who()
        await cluster.aclose()
        closed.set()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(in_loop, other)
        assert used.wait(LONG)
        in_loop(main)
        ended.result(LONG)


@pytest.mark.parametrize("engine", [AsyncMemoryEngine, "clinging"])
def test_a_loop_that_ends_disconnects_what_was_connected_in_it(engine: Any) -> None:
    cluster = cluster_of(engine=Clinging if engine == "clinging" else engine)

    async def main() -> None:
        await cluster.who()

    in_loop(main)
    (client,) = clients(cluster)
    assert client.open is (engine == "clinging")
    in_loop(main)


def test_a_cluster_that_nobody_uses_any_more_disconnects() -> None:
    async def main() -> None:
        cluster = cluster_of()
        await cluster.who()
        (client,) = clients(cluster)
        del cluster
        gc.collect()
        await until_async(lambda: not client.open)

    in_loop(main)


def test_a_probe_connects_anew() -> None:
    async def main() -> None:
        engine = AsyncMemoryEngine("a")
        await engine.probe()
        await engine.probe()
        assert [client.open for client in engine.clients] == [False, True]
        engine.down = True
        with pytest.raises(ConnectionRefusedError):
            await engine.probe()

    in_loop(main)


class Clinging(AsyncMemoryEngine):
    """A host whose clients cannot be disconnected."""

    async def disconnect(self, client: AsyncStore) -> None:
        raise OSError("it clings")


def test_a_client_that_cannot_be_disconnected_disturbs_nobody_but_who_closes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        cluster = cluster_of(engine=Clinging)
        task = asyncio.ensure_future(cluster.wait())
        await until_async(waiting(cluster))
        task.cancel()
        await asyncio.wait([task])
        assert await cluster.incr("n") == 1
        await until_async(lambda: "a client cannot be disconnected" in caplog.text)
        with pytest.raises(OSError, match="it clings"):
            await cluster.aclose()
        assert await cluster.incr("n") == 1

    with caplog.at_level(logging.DEBUG, "nydus"):
        in_loop(main)


# What each loop has of its own -----------------------------------------------------------------------------------------


def test_each_loop_has_its_own_and_that_of_a_closed_one_is_forgotten() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    own = PerLoop(make)

    async def main() -> None:
        first = own.get()
        await asyncio.sleep(0)
        assert own.get() is first is made[-1]
        assert len(own) == 1

    in_loop(main)
    in_loop(main)
    assert len(made) == 2
    assert len(own) == 0
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        own.get()


def test_what_belonged_to_loops_that_were_just_closed_is_dropped_when_another_one_comes() -> None:
    own = PerLoop(object)

    async def main() -> None:
        own.get()

    loops = [asyncio.new_event_loop() for _ in range(3)]
    for loop in loops:
        loop.run_until_complete(main())
        loop.close()  # and not as asyncio.run ends it
    gone = [weakref.ref(loop) for loop in loops]
    del loop, loops
    in_loop(main)
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_each_is_called_in_its_own_loop() -> None:
    own = PerLoop(asyncio.get_running_loop)
    called: list[Any] = []
    ready, done = threading.Barrier(3), threading.Event()

    def note(loop: Any) -> None:
        called.append(loop is asyncio.get_running_loop())

    async def other() -> None:
        own.get()
        ready.wait(LONG)
        await until_async(done.is_set)

    async def main() -> None:
        own.get()
        own.in_each(note)
        assert called[0] is True  # its own at once
        await until_async(lambda: len(called) == 3)
        done.set()

    async def closed() -> None:
        own.get()

    in_loop(closed)
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(in_loop, other) for _ in range(2)]
        ready.wait(LONG)
        in_loop(main)
        for each in others:
            each.result(LONG)
    own.in_each(note)  # outside of any loop, with all of them closed
    assert called == [True] * 3
