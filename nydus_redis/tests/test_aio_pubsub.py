"""Subscriptions over many hosts with asyncio: as ``test_pubsub``, and tasks that are cancelled, and loops that end."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import redis

from clusters import async_cluster_of, keys_of
from clusters import cluster_of as blocking_cluster_of
from nydus_core import AsyncCluster, HostDown, RoutingError, create_async_cluster
from nydus_core.routers.legacy import BaseRouter
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.pubsub import line_aio
from nydus_redis.pubsub.pulse_aio import Pulse
from shifted import Shifted, run_shifted
from waiting import LONG, until_async

Servers = Callable[..., list[PrivateServer]]
WAIT = LONG


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def body(_: Shifted) -> None:
        async with asyncio.timeout(1.3 * WAIT):
            await main()
        await leaves_no_task()

    run_shifted(body)


async def leaves_no_task() -> None:
    """Of this loop, which is the test's own."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, "tasks are left over"


cluster_of = partial(async_cluster_of, names="abc", decode_responses=True)
channels_of = partial(keys_of, form="news:{}")


async def said(subscriber: Any, count: int, kind: str = "") -> list[dict[str, Any]]:
    """The next messages, of a kind."""
    found: list[dict[str, Any]] = []
    end = time.monotonic() + WAIT
    while len(found) < count and time.monotonic() < end:
        message = await subscriber.get_message(timeout=0.2)
        if message is not None and (not kind or message["type"] == kind):
            found.append(message)
    return found


async def nothing_more(subscriber: Any) -> bool:
    return await subscriber.get_message(timeout=0.03) is None


async def publish(cluster: AsyncCluster, channel: str, data: Any) -> None:
    """Publish as soon as somebody hears it."""
    while True:
        with suppress(redis.ConnectionError):
            if await cluster.publish(channel, data):
                return
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_each_message_is_heard_once_whatever_its_host(
    redis_servers: Servers, protocol: int, decode: bool
) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3), protocol=protocol, decode_responses=decode) as cluster,
            cluster.pubsub() as subscriber,
        ):

            def text(word: str) -> str | bytes:
                return word if decode else word.encode()

            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            told = await said(subscriber, 3)
            assert {message["channel"] for message in told} == set(map(text, channels))
            assert [(m["type"], m["data"]) for m in told] == [("subscribe", n) for n in (1, 2, 3)]
            assert [await cluster.publish(channel, "hello") for channel in channels] == [1, 1, 1]
            heard = await said(subscriber, 3)
            assert sorted(message["channel"] for message in heard) == sorted(map(text, channels))
            assert await nothing_more(subscriber)
            assert await cluster.execute_command("PUBLISH", channels[1], "raw") == 1
            assert await said(subscriber, 1) == [
                {"type": "message", "pattern": None, "channel": text(channels[1]), "data": text("raw")}
            ]
            await subscriber.unsubscribe(channels[0])
            assert [(m["type"], m["channel"], m["data"]) for m in await said(subscriber, 1)] == [
                ("unsubscribe", text(channels[0]), 2)
            ]
            assert await cluster.publish(channels[0], "hello") == 0

    run(main)


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_pattern_is_heard_on_all_hosts_and_said_once(redis_servers: Servers, protocol: int) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3), protocol=protocol) as cluster,
            cluster.pubsub() as subscriber,
        ):
            await subscriber.psubscribe("news:*")
            assert await said(subscriber, 1) == [
                {"type": "psubscribe", "pattern": None, "channel": "news:*", "data": 1}
            ]
            for channel in channels_of(cluster):
                await cluster.publish(channel, "hello")
            heard = await said(subscriber, 3, "pmessage")
            assert {m["channel"] for m in heard} == set(channels_of(cluster))
            assert {m["pattern"] for m in heard} == {"news:*"}
            assert await nothing_more(subscriber)
            assert subscriber.patterns == {"news:*": None}
            await subscriber.punsubscribe()
            assert await said(subscriber, 1) == [
                {"type": "punsubscribe", "pattern": None, "channel": "news:*", "data": 0}
            ]
            assert not subscriber.subscribed
            assert [message async for message in subscriber.listen()] == []

    run(main)


@pytest.mark.parametrize("protocol", [2, 3])
def test_shard_channels(redis_servers: Servers, protocol: int) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3), protocol=protocol) as cluster,
            cluster.pubsub() as subscriber,
        ):
            channels = channels_of(cluster)
            await subscriber.ssubscribe(*channels)
            assert len(await said(subscriber, 3, "ssubscribe")) == 3
            assert set(subscriber.shard_channels) == set(channels)
            assert [await cluster.spublish(channel, "hello") for channel in channels] == [1, 1, 1]
            assert len(await said(subscriber, 3, "smessage")) == 3
            await subscriber.sunsubscribe()
            assert len(await said(subscriber, 3, "sunsubscribe")) == 3

    run(main)


def test_handlers_take_their_messages_be_they_functions_or_coroutine_functions(
    redis_servers: Servers,
) -> None:
    async def main() -> None:
        heard: list[Any] = []

        async def hear(message: Any) -> None:
            await asyncio.sleep(0)
            heard.append(message["pattern"])

        async with (
            cluster_of(*redis_servers(3)) as cluster,
            cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            channels = channels_of(cluster)
            await subscriber.subscribe(
                **dict.fromkeys(channels, lambda message: heard.append(message["data"]))
            )
            await subscriber.psubscribe(**{"new*": hear})
            await subscriber.subscribe("plain")
            for _ in range(5):  # what is said of subscribing
                assert await subscriber.get_message(timeout=WAIT) is None
            await cluster.publish(channels[2], "hello")
            await cluster.publish("plain", "spoken")
            assert [message["data"] for message in await said(subscriber, 1)] == ["spoken"]
            while len(heard) < 2:
                await subscriber.get_message(timeout=0.1)
            assert sorted(heard) == ["hello", "new*"]

    run(main)


def test_a_task_runs_the_handlers(redis_servers: Servers) -> None:
    async def main() -> None:
        heard: list[Any] = []
        async with cluster_of(*redis_servers(3)) as cluster, cluster.pubsub() as subscriber:
            first, *others = channels_of(cluster)
            await subscriber.subscribe("plain")
            with pytest.raises(redis.PubSubError, match="no handler"):
                await subscriber.run()
            await subscriber.unsubscribe("plain")
            await subscriber.subscribe(**{first: heard.append})
            await said(subscriber, 3)
            task = asyncio.create_task(subscriber.run(poll_timeout=0.05))
            await subscriber.subscribe(**dict.fromkeys(others, heard.append))  # while it runs
            for channel in (first, *others):
                await publish(cluster, channel, "hello")
            await until_async(lambda: len(heard) == 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert {message["channel"] for message in heard} == {first, *others}
            await publish(cluster, first, "more")  # it is there still
            await subscriber.get_message(timeout=WAIT)
            assert heard[-1]["data"] == "more"

    run(main)


def test_no_host_is_heard_at_the_cost_of_another(redis_servers: Servers) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3)) as cluster,
            cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            for _ in range(3):
                assert await nothing_more(subscriber)
            for number in range(100):
                await cluster.publish(channels[0], number)
            for channel in channels[1:]:
                await cluster.publish(channel, "quiet")
            await cluster.ping()  # the hosts have written what they had to say before they answer
            assert {message["channel"] for message in await said(subscriber, 6)} == set(channels)

    run(main)


@pytest.mark.parametrize("protocol", [2, 3])
def test_order_is_kept_and_nothing_lost_under_load(redis_servers: Servers, protocol: int) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3), protocol=protocol) as cluster,
            cluster.pubsub() as subscriber,
        ):
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            await said(subscriber, 3)
            async with cluster.map() as conn:
                for number in range(1000):  # more than is read before it is wanted
                    for channel in channels:
                        conn.publish(channel, f"{number}:" + "x" * 200)
            heard = await said(subscriber, 3000)
            for channel in channels:
                numbers = [int(m["data"].split(":")[0]) for m in heard if m["channel"] == channel]
                assert numbers == list(range(1000))
            assert await nothing_more(subscriber)

    run(main)


def test_what_is_not_fetched_stays_with_the_server(redis_servers: Servers) -> None:
    (server,) = redis_servers(1)

    async def main() -> None:
        async with cluster_of(server) as cluster, cluster.pubsub() as subscriber:
            await subscriber.subscribe("news")
            await said(subscriber, 1)
            async with cluster.map() as conn:
                for number in range(1000):
                    conn.publish("news", f"{number}:" + "x" * 20000)

            async def kept() -> int:
                (found,) = [each for each in await cluster.on("a").client_list() if each["sub"] == "1"]
                return int(found["omem"])

            while not await kept():
                await asyncio.sleep(0.005)
            heard = await said(subscriber, 1000)
            assert [int(m["data"].split(":")[0]) for m in heard] == list(range(1000))

    run(main)


def test_events_of_keys_come_from_the_host_of_the_key(new_redis_server: Callable[..., PrivateServer]) -> None:
    servers = [new_redis_server({"notify-keyspace-events": "KEA"}) for _ in range(3)]

    async def main() -> None:
        async with cluster_of(*servers) as cluster, cluster.pubsub() as subscriber:
            keys = channels_of(cluster)
            await subscriber.subscribe(*(f"__keyspace@0__:{key}" for key in keys), "__keyevent@0__:set")
            assert len(await said(subscriber, 4)) == 4
            for key in keys:
                await cluster.set(key, 1)
            assert sorted(m["data"] for m in await said(subscriber, 6)) == sorted(
                [*keys, "set", "set", "set"]
            )
            assert await nothing_more(subscriber)

    run(main)


def test_redis_pys_notifications_of_keys_are_heard_from_all_hosts(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    if not hasattr(redis.asyncio.Redis, "keyspace_notifications"):
        pytest.skip("this version of redis-py has none")
    servers = [new_redis_server({"notify-keyspace-events": "KEA"}) for _ in range(3)]

    async def main() -> None:
        heard: list[Any] = []

        async def hear(notification: Any) -> None:
            heard.append(notification.key)

        async with cluster_of(*servers) as cluster, cluster.keyspace_notifications() as notifications:
            keys = channels_of(cluster)
            await notifications.subscribe_keyevent("set")
            await notifications.subscribe_keyspace("news:*")
            await notifications.subscribe_keyevent("del", handler=hear)
            for _ in range(3):  # what is said of subscribing
                assert await notifications.get_message(timeout=WAIT) is None
            for key in keys:
                await cluster.set(key, 1)
            found: list[str] = []
            async for notification in notifications.listen():
                found.append(notification.key)
                if len(found) == 6:
                    break
            assert sorted(found) == sorted(keys * 2)
            await cluster.delete(keys[1])
            while not heard:
                await notifications.get_message(timeout=0.1)
            assert heard == [keys[1]]

    run(main)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_ping_is_answered_once(redis_servers: Servers, protocol: int, decode: bool) -> None:
    async def main() -> None:
        async with (
            cluster_of(*redis_servers(3), protocol=protocol, decode_responses=decode) as cluster,
            cluster.pubsub() as subscriber,
        ):
            await subscriber.psubscribe("*")
            await said(subscriber, 1)
            for word in ("there?", ""):
                await subscriber.ping(*[word] * bool(word))
                assert [(m["type"], m["data"]) for m in await said(subscriber, 1)] == [
                    ("pong", word if decode else word.encode())
                ]
                assert await nothing_more(subscriber)

    run(main)


def test_waiting_without_subscriptions_ends_with_the_first_one(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            subscriber = cluster.pubsub()
            assert await subscriber.get_message() is None
            assert await subscriber.get_message(timeout=0.01) is None
            waiting = asyncio.create_task(subscriber.get_message(timeout=None))
            for _ in range(5):  # it waits
                await asyncio.sleep(0)
            await subscriber.subscribe("late")
            message = await waiting
            assert message["type"] == "subscribe"
            await subscriber.aclose()
            assert not subscriber.subscribed

    run(main)


def test_get_message_without_time_hands_out_what_is_there(redis_servers: Servers) -> None:
    servers = redis_servers(3)

    async def main() -> None:
        async with cluster_of(*servers) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            await said(subscriber, 3)
            with blocking_cluster_of(*servers, names="abc") as blocking:
                for channel in channels:  # the loop does not come round meanwhile
                    assert blocking.publish(channel, "hello") == 1
            heard = [await subscriber.get_message() for _ in channels]
            assert sorted(message["channel"] for message in heard) == sorted(channels)

    run(main)


# Tasks that are cancelled ------------------------------------------------------------------------------------------


def test_a_cancelled_wait_takes_no_message_with_it(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            await said(subscriber, 3)
            heard: list[int] = []
            cancelled = 0

            async def speak() -> None:
                for number in range(300):
                    await cluster.publish(channels[number % 3], number)

            speaking = asyncio.create_task(speak())
            while len(heard) < 300:
                waiting = asyncio.create_task(subscriber.get_message(timeout=WAIT))
                for _ in range(len(heard) % 4):  # at another point each time
                    await asyncio.sleep(0)
                waiting.cancel()
                try:
                    message = await waiting
                except asyncio.CancelledError:
                    cancelled += 1
                    message = await subscriber.get_message(timeout=WAIT)
                heard.append(int(message["data"]))
            await speaking
            assert sorted(heard) == list(range(300))
            assert cancelled
            assert await nothing_more(subscriber)

    run(main)


def test_a_wait_that_times_out_leaves_the_next_message_to_others(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1)) as cluster, cluster.pubsub() as subscriber:
            await subscriber.subscribe("news")
            await said(subscriber, 1)
            for number in range(5):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await subscriber.get_message(timeout=None)
                await cluster.publish("news", number)
                assert [m["data"] for m in await said(subscriber, 1)] == [str(number)]

    run(main)


def test_tasks_that_wait_for_messages_share_them(redis_servers: Servers) -> None:
    async def main() -> None:
        heard: list[str] = []

        async def hear(subscriber: Any) -> None:
            while len(heard) < 90:
                message = await subscriber.get_message(timeout=0.05)
                if message is not None:
                    heard.append(message["data"])

        async with cluster_of(*redis_servers(3)) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            await said(subscriber, 3)
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(hear(subscriber))
                for number in range(90):
                    await cluster.publish(channels[number % 3], number)
            assert sorted(map(int, heard)) == list(range(90))

    run(main)


def test_a_cancelled_subscribe_subscribes_to_nothing(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    async def main() -> None:
        first, second, third = redis_servers(3)
        relay = proxy(third)
        async with cluster_of(first, second, relay, protocol=3) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(channels[0])
            await said(subscriber, 1)
            relay.blackhole = True  # its greeting is not answered
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await subscriber.subscribe(*channels)
            assert subscriber.channels == {channels[0]: None}
            assert await cluster.publish(channels[1], "to nobody") == 0
            relay.blackhole = False
            await until_async(lambda: relay.open_connections == 0)
            await subscriber.subscribe(*channels)
            await said(subscriber, 3, "subscribe")
            assert [await cluster.publish(channel, "hello") for channel in channels] == [1, 1, 1]
            assert len(await said(subscriber, 3)) == 3

    run(main)


# What is open ------------------------------------------------------------------------------------------------------


def sockets_to(path: str) -> int:
    """How many connections of this process lead to a server, by what the server says."""
    with redis.Redis(unix_socket_path=path, decode_responses=True) as plain:
        return sum(each["sub"] != "0" or each["psub"] != "0" for each in plain.client_list())


def connections_to(path: str) -> int:
    """How many connections lead to a server, but for the one that asks."""
    with redis.Redis(unix_socket_path=path) as plain:
        return len(plain.client_list()) - 1


def test_closing_leaves_nothing_open_also_if_it_is_cancelled(redis_servers: Servers) -> None:
    servers = redis_servers(3)

    async def main() -> None:
        for cancelled in (False, True):
            async with cluster_of(*servers) as cluster:
                subscriber = cluster.pubsub()
                await subscriber.psubscribe("*")
                await said(subscriber, 1)
                assert [sockets_to(server.path) for server in servers] == [1, 1, 1]
                closing = asyncio.create_task(subscriber.aclose())
                if cancelled:
                    await asyncio.sleep(0)
                    closing.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await closing
                else:
                    await closing
                await until_async(lambda: [sockets_to(server.path) for server in servers] == [0, 0, 0])
                assert not subscriber.subscribed
            await until_async(lambda: [connections_to(server.path) for server in servers] == [0, 0, 0])

    run(main)


def test_closing_ends_what_is_being_subscribed_to(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    async def main() -> None:
        first, second = redis_servers(2)
        relay = proxy(second)
        async with cluster_of(first, relay, protocol=3) as cluster:
            subscriber = cluster.pubsub()
            relay.blackhole = True  # its greeting is not answered
            subscribing = asyncio.create_task(subscriber.psubscribe("*"))
            await until_async(lambda: relay.connections)
            await subscriber.aclose()
            relay.blackhole = False
            with pytest.raises(redis.PubSubError, match="closed"):
                await subscribing
            assert not subscriber.subscribed
            await until_async(lambda: relay.open_connections == 0)
            assert sockets_to(first.path) == 0

    run(main)


def test_one_that_is_closed_may_be_used_again(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            subscriber = cluster.pubsub()
            for _ in range(2):
                async with subscriber:
                    await subscriber.subscribe("news")
                    await said(subscriber, 1)
                    await cluster.publish("news", "hello")
                    assert [m["data"] for m in await said(subscriber, 1)] == ["hello"]
                assert subscriber.channels == {}

    run(main)


def test_listening_ends_when_another_task_closes(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1)) as cluster:
            subscriber = cluster.pubsub()
            await subscriber.subscribe("news")

            heard: list[str] = []

            async def listen() -> None:
                async for message in subscriber.listen():
                    heard.append(message["type"])

            listening = asyncio.create_task(listen())
            await until_async(lambda: heard)
            await subscriber.aclose()
            await listening
            assert heard == ["subscribe"]

    run(main)


def test_one_that_is_forgotten_unclosed_warns_and_closes(redis_servers: Servers) -> None:
    servers = redis_servers(3)

    async def main() -> None:
        async with cluster_of(*servers) as cluster:
            subscriber = cluster.pubsub()
            await subscriber.psubscribe("*")
            await said(subscriber, 1)
            gone = weakref.ref(subscriber)
            kept = [subscriber]
            del subscriber
            with pytest.warns(ResourceWarning, match="unclosed"):
                kept.clear()
            assert gone() is None
            await until_async(lambda: [sockets_to(server.path) for server in servers] == [0, 0, 0])

    run(main)


# Event loops ---------------------------------------------------------------------------------------------------------


def test_a_second_loop_hears_too_after_a_word_about_the_first(redis_servers: Servers) -> None:
    servers = redis_servers(3)
    cluster = cluster_of(*servers)
    channels = channels_of(cluster)
    subscriber = cluster.pubsub()

    async def first() -> None:
        await subscriber.subscribe(*channels)
        assert len(await said(subscriber, 3)) == 3

    async def second() -> None:
        told: list[str] = []
        while len(told) < 3:
            with pytest.raises(HostDown, match="event loop") as caught:
                await subscriber.get_message(timeout=WAIT)
            told.append(str(caught.value))
        assert len(await said(subscriber, 3, "subscribe")) == 3
        assert [await cluster.publish(channel, "hello") for channel in channels] == [1, 1, 1]
        assert len(await said(subscriber, 3)) == 3
        await subscriber.aclose()
        await cluster.aclose()

    asyncio.run(first(), debug=True)
    assert [sockets_to(server.path) for server in servers] == [0, 0, 0]
    asyncio.run(second(), debug=True)


@pytest.mark.filterwarnings("ignore")  # what was not closed
def test_a_loop_that_was_closed_with_tasks_in_it_is_left_behind(redis_servers: Servers) -> None:
    leave_a_loop_behind(redis_servers)
    gc.collect()  # here, where nobody minds, and not in another test


def leave_a_loop_behind(redis_servers: Servers) -> None:
    cluster = cluster_of(*redis_servers(1))
    subscriber = cluster.pubsub()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(subscriber.subscribe("news"))
    loop.close()

    async def second() -> None:
        async with cluster, subscriber:
            with pytest.raises(HostDown, match="event loop"):
                await subscriber.get_message(timeout=WAIT)
            assert len(await said(subscriber, 1, "subscribe")) == 1
            await cluster.publish("news", "hello")
            assert [m["data"] for m in await said(subscriber, 1)] == ["hello"]

    run(second)


def test_a_loop_beside_the_first_one_is_refused(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1)) as cluster, cluster.pubsub() as subscriber:
            await subscriber.subscribe("news")

            def elsewhere() -> None:
                asyncio.run(subscriber.get_message())

            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.to_thread(elsewhere)

    run(main)


# Hosts that fail ---------------------------------------------------------------------------------------------------


async def hear_through_errors(
    subscriber: Any, count: int, seconds: float = WAIT
) -> tuple[list[Any], list[Exception]]:
    heard: list[Any] = []
    errors: list[Exception] = []
    end = time.monotonic() + seconds
    while len(heard) < count and time.monotonic() < end:
        try:
            message = await subscriber.get_message(timeout=0.1)
        except redis.ConnectionError as error:
            errors.append(error)
        else:
            heard += [message] * (message is not None)
    return heard, errors


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_lost_connection_is_told_and_subscribed_again(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], protocol: int
) -> None:
    relays = [proxy(server) for server in redis_servers(3)]

    async def main() -> None:
        async with cluster_of(*relays, protocol=protocol) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(*channels)
            await subscriber.psubscribe("news:*")
            await said(subscriber, 4)
            relays[1].drop()
            heard, errors = await hear_through_errors(subscriber, 2)
            assert [type(error).__mro__[1] for error in errors] == [HostDown]
            assert f"SUBSCRIBE b'{channels[1]}', b'news:*' was not taken by host 'b'" in str(errors[0])
            assert "until it is subscribed again is lost" in str(errors[0])
            assert [(m["type"], m["channel"]) for m in heard] == [
                ("subscribe", channels[1]),
                ("psubscribe", "news:*"),
            ]
            assert [await cluster.publish(channel, "hello") for channel in channels] == [2, 2, 2]
            assert len(await said(subscriber, 6)) == 6
            assert await nothing_more(subscriber)

    run(main)


def test_a_host_that_stays_down_does_not_silence_the_others(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    dying = new_redis_server()

    async def main() -> None:
        async with cluster_of(dying, *redis_servers(2)) as cluster, cluster.pubsub() as subscriber:
            mine, other, _ = channels_of(cluster)
            await subscriber.subscribe(mine, other)
            await said(subscriber, 2)
            dying.kill()
            for number in range(5):
                await cluster.publish(other, number)
            heard, errors = await hear_through_errors(subscriber, 5)
            assert [m["data"] for m in heard] == list("01234")
            while len(errors) < 3:  # and goes on telling it
                errors += (await hear_through_errors(subscriber, 1, seconds=0.2))[1]
            assert all(isinstance(error, HostDown) for error in errors)
            with pytest.raises(HostDown):
                await cluster.publish(mine, "to nobody")
            dying.restart()
            heard, errors = await hear_through_errors(subscriber, 1)
            assert [(m["type"], m["channel"]) for m in heard] == [("subscribe", mine)]
            await publish(cluster, mine, "back")
            assert [m["data"] for m in await said(subscriber, 1)] == ["back"]

    run(main)


def test_a_host_that_does_not_answer_a_connect_does_not_hold_up_the_others(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    first, *others = redis_servers(3)
    relay = proxy(first)

    async def main() -> None:
        async with (
            cluster_of(relay, *others, protocol=3) as cluster,
            cluster.pubsub() as subscriber,
        ):
            mine, other, _ = channels_of(cluster)
            await subscriber.subscribe(mine, other)
            await said(subscriber, 2)
            relay.blackhole = True
            relay.drop()
            with pytest.raises(HostDown):
                await subscriber.get_message(timeout=WAIT)
            for number in range(5):
                await cluster.publish(other, number)
                assert [m["data"] for m in await said(subscriber, 1)] == [str(number)]

    run(main)


def test_listen_and_run_see_the_error(redis_servers: Servers, proxy: Callable[..., FaultProxy]) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with cluster_of(relay) as cluster, cluster.pubsub() as subscriber:
            told: list[BaseException] = []
            heard = asyncio.Event()

            async def on_error(error: BaseException, pubsub: Any) -> None:
                assert pubsub is subscriber
                told.append(error)

            await subscriber.subscribe(news=lambda message: heard.set())
            await said(subscriber, 1)
            relay.drop()
            with pytest.raises(HostDown):
                async for _ in subscriber.listen():
                    pass
            await said(subscriber, 1)
            relay.drop()
            with pytest.raises(HostDown):
                await subscriber.run()
            await said(subscriber, 1)
            for handler in (on_error, lambda error, pubsub: told.append(error)):
                task = asyncio.create_task(subscriber.run(exception_handler=handler, poll_timeout=0.05))
                relay.drop()
                await until_async(lambda: told)
                heard.clear()
                await publish(cluster, "news", "again")
                await heard.wait()
                assert all(isinstance(error, HostDown) for error in told)
                told.clear()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    run(main)


@pytest.fixture
def pulses(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The health checks of all connections."""
    found: list[Any] = []

    class Known(Pulse):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            found.append(self)

    monkeypatch.setattr(line_aio, "Pulse", Known)
    return found


def test_a_host_that_hangs_is_found_out_by_its_health_check(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], pulses: list[Any]
) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main(loop: Shifted) -> None:
        async with (
            cluster_of(relay, health_check_interval=LONG) as cluster,
            cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            await subscriber.subscribe("news")
            (pulse,) = pulses
            for _ in range(3):
                while not pulse._asked:
                    loop.ahead += LONG + 1
                    await asyncio.sleep(0)
                await until_async(lambda: not pulse._asked)  # it is answered, and that is not shown
                assert await subscriber.get_message(timeout=0.005) is None
            assert b"".join(relay.requests).count(b"health-check") >= 3
            relay.blackhole = True
            with pytest.raises(redis.TimeoutError, match="health check"):
                while True:
                    loop.ahead += LONG / 4
                    await subscriber.get_message(timeout=0.005)
        await leaves_no_task()

    run_shifted(main)


def test_a_silent_host_gets_one_health_check_in_each_interval(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], pulses: list[Any]
) -> None:
    relay, interval = proxy(redis_servers(1)[0]), 1000.0

    def checks() -> int:
        return b"".join(relay.requests).count(b"health-check")

    async def main(loop: Shifted) -> None:
        async with (
            cluster_of(relay, health_check_interval=interval, timeout=10 * interval) as cluster,
            cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            await subscriber.subscribe("news")
            (pulse,) = pulses
            (line,) = subscriber._all.lines.values()
            await until_async(lambda: line._inbox)  # it is subscribed
            for number in range(5):
                loop.ahead += 0.9 * interval
                assert await subscriber.get_message(timeout=0.01) is None
                assert checks() == number
                loop.ahead += 0.1 * interval
                await until_async(lambda: checks() > number)  # noqa: B023
                await until_async(lambda: not pulse._asked)  # it is answered
                assert checks() == number + 1
        await leaves_no_task()

    run_shifted(main)


def test_health_checks_do_not_end_what_is_not_fetched(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main(loop: Shifted) -> None:
        async with (
            cluster_of(relay, health_check_interval=1) as cluster,
            cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            await subscriber.subscribe("news")
            assert await nothing_more(subscriber)
            async with cluster.map() as conn:
                for number in range(1000):
                    conn.publish("news", number)
            (line,) = subscriber._all.lines.values()
            await until_async(lambda: line._room)  # it reads no more, until some are fetched
            for _ in range(20):  # twice the time that an answer may take, and more
                loop.ahead += LONG / 8
                await asyncio.sleep(0)
            heard = await said(subscriber, 1000)
            assert [int(message["data"]) for message in heard] == list(range(1000))
            assert await nothing_more(subscriber)
        await leaves_no_task()

    run_shifted(main)


def test_a_subscription_that_fails_on_one_host_is_one_on_none(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    down = new_redis_server()

    async def main() -> None:
        async with cluster_of(*redis_servers(2), down) as cluster, cluster.pubsub() as subscriber:
            channels = channels_of(cluster)
            await subscriber.subscribe(channels[0])
            await said(subscriber, 1)
            down.stop()
            with pytest.raises(HostDown, match="PSUBSCRIBE b'news:\\*'"):
                await subscriber.psubscribe("news:*")
            with pytest.raises(HostDown, match=channels[2]):
                await subscriber.subscribe(*channels)
            assert subscriber.channels == {channels[0]: None}
            assert subscriber.patterns == {}
            assert await cluster.publish(channels[1], "x") == 0
            await cluster.publish(channels[0], "hello")
            assert [m["data"] for m in await said(subscriber, 1, "message")] == ["hello"]
            assert await nothing_more(subscriber)

    run(main)


def test_ending_a_subscription_on_a_host_that_is_down_ends_it(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    server = new_redis_server()

    async def main() -> None:
        async with cluster_of(server) as cluster, cluster.pubsub() as subscriber:
            await subscriber.subscribe("news")
            await said(subscriber, 1)
            server.stop()
            with pytest.raises(HostDown):
                await subscriber.get_message(timeout=WAIT)
            await subscriber.unsubscribe("news")
            assert [(m["type"], m["data"]) for m in await said(subscriber, 1)] == [("unsubscribe", 0)]
            assert [message async for message in subscriber.listen()] == []

    run(main)


def test_an_end_that_is_not_confirmed_by_a_host_that_is_lost_is_told_all_the_same(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relays = [proxy(server) for server in redis_servers(2)]

    async def main() -> None:
        async with cluster_of(*relays) as cluster, cluster.pubsub() as subscriber:
            mine, other = channels_of(cluster)
            await subscriber.subscribe(mine, other)
            await subscriber.psubscribe("news:*")
            await said(subscriber, 3)
            relays[0].blackhole = True
            await subscriber.unsubscribe(mine)
            await subscriber.punsubscribe()
            assert await nothing_more(subscriber)
            relays[0].drop()
            relays[0].blackhole = False
            heard, errors = await hear_through_errors(subscriber, 2)
            assert [type(error).__mro__[1] for error in errors] == [HostDown]
            assert {m["type"] for m in heard} == {"unsubscribe", "punsubscribe"}
            assert subscriber.channels == {other: None}
            assert subscriber.patterns == {}
            assert [await cluster.publish(channel, "hello") for channel in (mine, other)] == [0, 1]
            assert [m["channel"] for m in await said(subscriber, 1)] == [other]
            assert await nothing_more(subscriber)

    run(main)


def test_a_server_that_refuses_a_subscription_says_so(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()

    async def main() -> None:
        async with cluster_of(server) as admin:
            await admin.acl_setuser(
                "narrow",
                enabled=True,
                nopass=True,
                commands=["+@all"],
                keys=["*"],
                channels=["open"],
                reset=True,
            )
        async with (
            cluster_of(server, username="narrow", password="x") as cluster,
            cluster.pubsub() as subscriber,
        ):
            await subscriber.subscribe("closed")
            with pytest.raises(redis.exceptions.NoPermissionError):
                await said(subscriber, 1)

    run(main)


# Clusters that change ------------------------------------------------------------------------------------------------


def test_subscriptions_follow_the_cluster_to_other_hosts(redis_servers: Servers) -> None:
    servers = redis_servers(3)

    async def main() -> None:
        async with cluster_of(*servers[:2]) as cluster, cluster.pubsub() as subscriber:
            names = [f"news:{number}" for number in range(20)]
            await subscriber.subscribe(*names)
            await subscriber.psubscribe("*:7")
            await said(subscriber, 21)
            waiting = asyncio.create_task(subscriber.get_message(timeout=None))
            cluster.add_host("c", {"unix_socket_path": servers[2].path, "decode_responses": True})
            moved = [name for name in names if cluster.router.locate(name.encode()) == "c"]
            assert moved
            await publish(cluster, moved[0], "moved")  # also of one that waits
            assert (await waiting)["data"] == "moved"
            assert await nothing_more(subscriber)
            for name in names:
                await cluster.publish(name, "hello")
            heard = await said(subscriber, 21)
            assert sorted(m["channel"] for m in heard) == sorted([*names, "news:7"])
            cluster.remove_host("a")
            assert await nothing_more(subscriber)
            for name in names:
                await cluster.publish(name, "again")
            heard = await said(subscriber, 21)
            assert sorted(m["channel"] for m in heard) == sorted([*names, "news:7"])
            assert await nothing_more(subscriber)
            assert sockets_to(servers[0].path) == 0
            await subscriber.unsubscribe()
            await subscriber.punsubscribe()
            assert len(await said(subscriber, 21)) == 21
            assert not subscriber.subscribed

    run(main)


# Routers and engines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("router", "answer"), [(None, [1, 0, 0]), ("broadcast", [1, 0, 0]), ("round-robin", 1)]
)
def test_without_a_router_by_key_each_message_is_heard_once_too(
    redis_servers: Servers, router: Any, answer: Any
) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3), router=router) as cluster, cluster.pubsub() as subscriber:
            await subscriber.subscribe("news")
            assert [m["type"] for m in await said(subscriber, 1)] == ["subscribe"]
            assert [await cluster.publish("news", number) for number in range(6)] == [answer] * 6
            assert sorted(m["data"] for m in await said(subscriber, 6)) == list("012345")
            assert await nothing_more(subscriber)

    run(main)


class First(BaseRouter):
    """A router of nydus 0.11."""

    def get_dbs(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[int]:
        return [0]


def test_a_router_of_nydus_0_11_gives_channels_no_host(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1), router=First) as cluster:
            with pytest.raises(RoutingError, match=r"use cluster.on\(host\).pubsub\(\)"):
                cluster.pubsub()

    run(main)


def test_names_may_come_with_handlers_of_their_own(redis_servers: Servers) -> None:
    typing: Any = pytest.importorskip("redis.typing")
    if not hasattr(typing, "Subscription"):
        pytest.skip("this version of redis-py has no class for it")

    async def main() -> None:
        heard: list[Any] = []
        async with (
            cluster_of(*redis_servers(3), decode_responses=False) as cluster,
            cluster.pubsub() as subscriber,
        ):
            await subscriber.subscribe(typing.Subscription(b"\xe9", heard.append), "plain")
            await said(subscriber, 2, "subscribe")
            assert await cluster.publish(b"\xe9", "hello") == 1
            while not heard:
                await subscriber.get_message(timeout=0.1)
            assert [message["data"] for message in heard] == [b"hello"]

    run(main)


def test_embedded_hosts_are_waited_for() -> None:
    async def main() -> None:
        settings = {"engine": "embedded", "router": "rendezvous", "hosts": 2}
        async with create_async_cluster(settings) as cluster, cluster.pubsub() as subscriber:
            await subscriber.psubscribe("*")  # their first command
            await said(subscriber, 1)
            await publish(cluster, "news", "hello")
            assert [m["data"] for m in await said(subscriber, 1)] == [b"hello"]

    run(main)
