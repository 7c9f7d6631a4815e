"""The connection to a host that all tasks of an event loop share: order, merged gets, outcomes, cancelling, limits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from address import Listening
from crowd import FEW, Crowd
from memcached import MemcachedServer
from nydus_core import AsyncCluster, CommandError, ConfigError, HostDown, MaybeApplied, create_async_cluster
from nydus_core.command import Outcome, outcome_of
from nydus_core.testing import FaultProxy
from nydus_memcache import Memcache
from scripted import ScriptedServer
from stopping import stopped
from waiting import LONG, until, until_async
from waiting_time import timeout_of

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 50), debug=True)


def over(server: Listening, **options: Any) -> AsyncCluster:
    """A cluster of one server; each command is tried once."""
    host = {"unix_socket_path": server.path, "timeout": LONG, **options}
    rules = {"retry": {"attempts": 1}, "health": {"failures": 10**6, "calls": 10**6}}
    return create_async_cluster({"engine": Memcache, "hosts": [host], **rules})


def queue_of(cluster: AsyncCluster) -> Any:
    """The queue of the host."""
    engine: Any = cluster.hosts[0]
    (queue,) = engine.shared
    return queue


def line_of(cluster: AsyncCluster) -> Any:
    """The shared connection; None if it is not open."""
    return queue_of(cluster)._line


async def in_company(cluster: AsyncCluster) -> None:
    """Have several tasks work at once: a task that was alone writes at once, and the others in the next turn."""
    await asyncio.gather(*(cluster.get("k") for _ in range(3)))


# One connection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batching", [True, 3])
def test_all_tasks_share_so_many_connections(server: MemcachedServer, batching: int) -> None:
    async def main() -> None:
        async with over(server) as other, over(server, batching=batching) as cluster:
            before = (await other.on(0).stats())[b"curr_connections"]

            async def work(number: int) -> None:
                assert await cluster.set(f"k{number}", number) is True
                assert await cluster.get(f"k{number}") == number
                assert await cluster.incr(f"k{number}", 2) == number + 2

            await asyncio.gather(*(work(number) for number in range(300)))
            assert (await other.on(0).stats())[b"curr_connections"] == before + batching

    run(main())


def test_gets_of_one_turn_are_one_request(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set_many({f"k{number}": number for number in range(50)})
            await in_company(cluster)
            front.requests.clear()
            found = await asyncio.gather(*(cluster.get(f"k{number}", number) for number in range(60)))
            assert found == list(range(60))
            pairs = await asyncio.gather(*(cluster.gets(f"k{number}") for number in range(50)))
            assert [value for value, _ in pairs] == list(range(50))
            assert await cluster.cas("k7", b"new", pairs[7][1]) is True
            assert await cluster.cas("k8", b"new", pairs[7][1]) is False

    run(main())
    sent = b"".join(front.requests)
    assert (sent.count(b"get "), sent.count(b"gets ")) == (1, 1)


def test_commands_of_one_turn_are_one_write(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set("n", 0)
            await in_company(cluster)
            front.requests.clear()
            calls: list[Any] = [cluster.incr("n") for _ in range(50)]
            calls += [cluster.set(f"k{number}", b"v") for number in range(50)]
            calls += [
                cluster.get_many([f"k{number}" for number in range(50)]),
                cluster.delete("k0"),
                cluster.get("k0"),
            ]
            found = await asyncio.gather(*calls)
            assert found[:50] == list(range(1, 51))
            assert (found[50:100], len(found[100]), found[101:]) == ([True] * 50, 50, [True, None])

    run(main())
    assert len(front.requests) == 1


def test_commands_on_a_key_are_done_in_the_order_of_the_calls(server: MemcachedServer) -> None:
    """Against a model: whatever merges, each read sees the writes before it and none behind it."""
    dice = random.Random(7)
    model: dict[str, Any] = {}

    def one(cluster: AsyncCluster) -> tuple[Any, Any]:
        """A call, and the value it must have."""
        key, number = f"k{dice.randrange(4)}", dice.randrange(1000)
        match dice.randrange(6):
            case 0:
                model[key] = number
                return cluster.set(key, number), True
            case 1:
                model[key] = number
                return cluster.set(key, number, noreply=True), True
            case 2:
                return cluster.delete(key), model.pop(key, None) is not None
            case 3:
                if key in model:
                    model[key] += 1
                return cluster.incr(key), model.get(key)
            case _:
                return cluster.get(key), model.get(key)

    async def main() -> None:
        for depth in (1, 3, 5000):
            async with over(server, pipeline_depth=depth) as cluster:
                for size in (1, 2, 7, 40, 400):
                    calls = [one(cluster) for _ in range(size)]
                    assert await asyncio.gather(*(call for call, _ in calls)) == [value for _, value in calls]

    run(main())


def test_a_map_and_other_tasks_do_not_mix(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set("n", 0)
            front.requests.clear()

            async def block() -> list[Any]:
                async with cluster.map() as conn:
                    promises = [conn.set(f"m{number}", number) for number in range(1000)]
                    promises += [conn.get(f"m{number}") for number in range(1000)]
                return [promise.value for promise in promises]

            found = await asyncio.gather(block(), *(cluster.incr("n") for _ in range(100)), block())
            assert found[0] == found[-1] == [True] * 1000 + list(range(1000))
            assert found[1:-1] == list(range(1, 101))

    run(main())
    assert front.connections == 1


def test_a_command_that_ends_its_connection_has_its_own(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set("k", b"v")
            raw = cluster.on(0).raw_command("get k", "END\r\n")
            found: list[Any] = [*await asyncio.gather(cluster.get("k"), raw, cluster.get("k"))]
            assert found == [b"v", b"VALUE k 0 1\r\nv\r\n", b"v"]
            async with cluster.map() as conn:
                promises = [conn.get("k"), conn.raw_command("get k", "END\r\n"), conn.get("k")]
            assert [promise.value for promise in promises] == found
            line = line_of(cluster)
            assert await cluster.get("k") == b"v"
            assert line_of(cluster) is line

    run(main())


def test_large_values_do_not_cross(front: FaultProxy) -> None:
    values = {f"k{number}": b"END\r\n" * (number * 9000) for number in range(20)}

    async def main() -> None:
        async with over(front) as cluster:
            assert (
                await asyncio.gather(*(cluster.set(key, value) for key, value in values.items()))
                == [True] * 20
            )
            keys = [*values] * 3
            assert await asyncio.gather(*map(cluster.get, keys)) == [values[key] for key in keys]

    run(main())
    assert front.connections == 1


def test_an_error_of_the_server_is_that_of_its_command(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            calls: list[Any] = [
                cluster.set("a", "abc"),
                cluster.incr("a"),
                cluster.set("b", b"x" * (1 << 21)),
                cluster.set("q", b"x" * (1 << 21), noreply=True),
                cluster.get("a"),
                cluster.set("c", b"v"),
            ]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [found[0], *found[3:]] == [True, True, "abc", True]
            assert "incr b'a'" in str(found[1])
            assert "too large" in str(found[2])

    run(main())
    assert front.connections == 1


# Cancelling -----------------------------------------------------------------------------------------------------------


def test_a_task_cancelled_in_the_queue_has_sent_nothing(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, pipeline_depth=1) as cluster:
            await cluster.set("n", 0)
            front.requests.clear()
            front.delay = LONG
            first = asyncio.ensure_future(cluster.incr("n"))
            await until_async(lambda: bool(front.requests))
            others = [asyncio.ensure_future(cluster.incr("n", 100)) for _ in range(5)]
            last = asyncio.ensure_future(cluster.incr("n"))
            await until_async(lambda: len(queue_of(cluster)) == 7)
            for task in others:
                task.cancel()
            front.delay = 0
            assert [*await asyncio.gather(first, last)] == [1, 2]
            assert all(task.cancelled() for task in others)

    run(main())
    assert b"".join(front.requests) == b"incr n 1\r\n" * 2
    assert front.connections == 1


def test_the_answer_of_a_cancelled_task_is_dropped_and_the_connection_lives_on(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set_many({f"k{number}": number for number in range(30)})
            await cluster.set("n", 0)
            front.requests.clear()
            front.delay = LONG
            tasks = [asyncio.ensure_future(cluster.get(f"k{number}")) for number in range(30)]
            tasks.append(asyncio.ensure_future(cluster.incr("n", 5)))
            await until_async(lambda: b"incr" in b"".join(front.requests))
            for task in tasks[::2]:
                task.cancel()
            later = [asyncio.ensure_future(cluster.get("k1")), asyncio.ensure_future(cluster.incr("n"))]
            front.delay = 0
            assert await asyncio.gather(*tasks[1::2]) == list(range(1, 30, 2))
            assert [*await asyncio.gather(*later)] == [1, 6]
            assert all(task.cancelled() for task in tasks[::2])

    run(main())
    assert front.connections == 1


@pytest.mark.parametrize("cut", [3, 12, 17, 30])
def test_a_task_cancelled_with_half_an_answer_takes_none_of_the_next(
    server: MemcachedServer, cut: int
) -> None:
    answer = b"VALUE k 0 10\r\n0123456789\r\nEND\r\n"

    async def main(bad: ScriptedServer) -> None:
        async with over(bad) as cluster:
            await cluster.set("other", b"right")
            bad.answer(answer[:cut], b"")
            task = asyncio.ensure_future(cluster.get("k"))
            await until_async(lambda: bad.played(0))
            line = line_of(cluster)
            await until_async(lambda: not line._received.empty)
            task.cancel()
            await asyncio.wait([task])
            bad.answer(answer[cut:] + b"VALUE other 0 5\r\nright\r\nEND\r\n")
            assert await cluster.get("other") == b"right"
            assert line_of(cluster) is line
        assert bad.connections == 1

    with ScriptedServer(server) as bad:
        run(main(bad))


# A connection that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 70, 71, 400, 1003])
def test_a_cut_connection_tells_each_task_its_outcome(front: FaultProxy, after: int) -> None:
    """``incr`` on keys of their own: a value is the server's, *not sent* has added nothing."""

    async def main() -> None:
        async with over(front, pipeline_depth=100) as cluster:
            await cluster.set_many({f"n{number}": 100 for number in range(300)})
            front.cut_replies(after)
            tasks = [asyncio.ensure_future(cluster.incr(f"n{number}")) for number in range(300)]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            now = await cluster.get_many([f"n{number}" for number in range(300)])
            counted = [now[f"n{number}"] for number in range(300)]
            kinds = {int: {101}, MaybeApplied: {100, 101}, HostDown: {100}}
            for outcome, count in zip(found, counted, strict=True):
                (allowed,) = [counts for kind, counts in kinds.items() if isinstance(outcome, kind)]
                assert count in allowed
            values = sum(type(outcome) is int for outcome in found)
            written = sum(isinstance(outcome, MaybeApplied) for outcome in found)
            assert values >= after // 5
            assert 0 < written <= 100  # no more than may be under way
            assert values + written == 300  # those in the queue went over the next connection

    run(main())
    assert front.connections == 2


def test_a_map_on_a_cut_connection_knows_its_outcomes(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, pipeline_depth=50) as cluster:
            await cluster.set_many({f"n{number}": 100 for number in range(300)})
            front.cut_replies(21)
            async with cluster.map(fail_silently=True) as conn:
                promises = [conn.incr(f"n{number}") for number in range(300)]
            found = [promise.outcome for promise in promises]
            answered, written = found.count(Outcome.VALUE), found.count(Outcome.MAYBE_APPLIED)
            assert answered == 4
            assert 0 < written <= 50
            ends = [Outcome.VALUE] * answered + [Outcome.MAYBE_APPLIED] * written
            assert found == ends + [Outcome.NOT_SENT] * (300 - len(ends))
            now = await cluster.get_many([f"n{number}" for number in range(answered + written, 300)])
            assert set(now.values()) == {100}

    run(main())


def test_a_host_that_hangs_is_told_to_all_who_wait(
    new_memcached_server: Callable[..., MemcachedServer],
) -> None:
    server = new_memcached_server()

    async def main() -> None:
        async with over(server, pipeline_depth=10) as cluster:
            await cluster.set("n", 0)
            with stopped(server), timeout_of(cluster, 0.1):
                calls = [cluster.incr("n") for _ in range(30)]
                found = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in found] == [type(found[0])] * 10 + [type(found[10])] * 20
            assert isinstance(found[0], MaybeApplied)
            assert isinstance(found[10], HostDown)
            assert "no answer within 0.1 seconds" in str(found[10])
            assert await cluster.get("n") in range(11)

    run(main())


def test_a_full_server_was_sent_nothing_by_any_task(
    new_memcached_server: Callable[..., MemcachedServer],
) -> None:
    server = new_memcached_server(FEW)

    async def main(crowd: Crowd) -> None:
        async with over(server) as cluster:
            calls: list[Any] = [cluster.set(f"k{number}", b"v") for number in range(20)]
            calls += [cluster.get("k"), cluster.get("l"), cluster.incr("n")]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert {outcome_of(error) for error in found} == {Outcome.NOT_SENT}
            assert all("full" in str(error) for error in found)
            await asyncio.to_thread(crowd.leave)
            assert await cluster.get_many([f"k{number}" for number in range(20)]) == {}

    with Crowd(server) as crowd:
        run(main(crowd))


def test_bytes_that_nobody_asked_for_end_the_connection(server: MemcachedServer) -> None:
    async def main(bad: ScriptedServer) -> None:
        async with over(bad) as cluster:
            await cluster.set("n", 0)
            bad.answer(b"1\r\nSTORED\r\n", b"")
            found = await cluster.incr("n")
            assert found == 1
            assert [*await asyncio.gather(cluster.set("k", b"v"), cluster.get("k"))] == [True, b"v"]
        assert bad.connections == 2

    with ScriptedServer(server) as bad:
        run(main(bad))


# Commands without an answer -------------------------------------------------------------------------------------------


def test_a_command_without_an_answer_waits_for_nobody(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front, pipeline_depth=1) as cluster:
            await cluster.set("k", b"v")
            front.requests.clear()
            front.delay = LONG
            getting = asyncio.ensure_future(cluster.get("k"))
            await until_async(lambda: bool(front.requests))
            front.delay = 0
            assert await getting == b"v"
            assert await cluster.set("k", b"w", noreply=True) is True
            assert await cluster.get("k") == b"w"
            calls: list[Any] = [
                cluster.set("k", 1),
                cluster.incr("k", noreply=True),
                cluster.get("k"),
                cluster.delete("k", noreply=True),
            ]
            assert await asyncio.gather(*calls) == [True, None, 2, True]
            assert await cluster.get("k") is None

    run(main())
    assert front.connections == 1


def test_silent_commands_are_done_while_answers_are_waited_for(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            await cluster.set("k", b"v")
            front.requests.clear()
            front.delay = LONG
            getting = asyncio.ensure_future(cluster.get("k"))
            await until_async(lambda: bool(front.requests))
            for number in range(5):
                assert await cluster.set(f"q{number}", number, noreply=True) is True
            assert not getting.done()
            front.delay = 0
            assert await getting == b"v"
            assert await cluster.get_many([f"q{number}" for number in range(5)]) == {
                f"q{n}": n for n in range(5)
            }

    run(main())


def test_a_silent_command_that_the_socket_does_not_take_may_be_applied(
    new_memcached_server: Callable[..., MemcachedServer],
) -> None:
    server = new_memcached_server()

    async def main() -> None:
        async with over(server) as cluster:
            await cluster.version()
            with stopped(server), timeout_of(cluster, 0.1):
                values = [cluster.set(f"k{number}", b"v" * 500_000, noreply=True) for number in range(20)]
                found = await asyncio.gather(*values, return_exceptions=True)
            kinds = [True if each is True else type(each).__mro__[1] for each in found]
            assert isinstance(found[-1], HostDown)
            assert any(isinstance(each, MaybeApplied) for each in found)
            order = [0 if each is True else 1 if isinstance(each, MaybeApplied) else 2 for each in found]
            assert order == sorted(order), kinds

    run(main())


# Limits, loops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_commands_are_under_way_than_the_depth_says(front: FaultProxy, depth: int) -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        async with over(front, pipeline_depth=depth) as cluster:
            await cluster.set("n", 0)
            line = line_of(cluster)
            write = line.write

            def noting(request: bytes, count: int) -> None:
                nonlocal most
                write(request, count)
                most = max(most, line.under_way)

            line.write = noting

            async def block() -> list[Any]:
                async with cluster.map() as conn:
                    promises = [conn.incr("n", 1000) for _ in range(20)]
                return [promise.value % 1000 for promise in promises]

            found = await asyncio.gather(*(cluster.incr("n") for _ in range(20)), block(), cluster.incr("n"))
            assert [each % 1000 for each in found[:20]] == list(range(1, 21))
            assert set(found[20]) in ({20}, {21})  # the other task may come first
            assert found[21] % 1000 == 21

    run(main())
    assert most == depth


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batching": -1}, r"batching.*true, false, or a number of connections"),
        ({"batching": "many"}, r"batching"),
        ({"pipeline_depth": 0}, r"pipeline_depth.*a number of commands, 1 or more"),
        ({"pipeline_depth": 1.5}, r"pipeline_depth"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_async_cluster({"engine": Memcache, "hosts": [options]})


def test_each_event_loop_has_a_connection_of_its_own(front: FaultProxy) -> None:
    cluster = over(front)

    async def work() -> None:
        assert (
            await asyncio.gather(*(cluster.set(f"k{number}", number) for number in range(20))) == [True] * 20
        )

    async def main() -> None:
        await work()
        await asyncio.to_thread(run, work())
        await work()
        assert front.connections == 2
        await until_async(lambda: front.open_connections == 1)  # that of the other loop ended with it
        await cluster.aclose()

    run(main())
    until(lambda: not front.open_connections)


def test_a_loop_that_ends_while_answers_are_waited_for_closes_the_connection(front: FaultProxy) -> None:
    cluster = over(front)

    async def main() -> None:
        await cluster.set("k", b"v")
        front.delay = LONG
        front.requests.clear()
        task = asyncio.ensure_future(cluster.get("k"))
        await until_async(lambda: bool(front.requests))
        assert not task.done()

    run(main())
    front.delay = 0
    until(lambda: not front.open_connections)

    async def again() -> None:
        async with cluster:
            assert await cluster.get("k") == b"v"

    run(again())


def test_a_map_that_fails_says_so(front: FaultProxy) -> None:
    async def main() -> None:
        async with over(front) as cluster:
            front.refuse()
            with pytest.raises(CommandError) as caught:
                async with cluster.map() as conn:
                    promises = [conn.set("k", b"v"), conn.get_many([])]
            assert [error.position for error in caught.value.errors] == [0]
            assert (promises[0].outcome, promises[1].value) == (Outcome.NOT_SENT, {})

    run(main())
