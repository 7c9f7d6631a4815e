"""A host whose connects hang keeps nobody from the messages of the others, and no call longer than it was asked to wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from redis.exceptions import PubSubError

import clusters
from nydus_core import Cluster, HostDown
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side
from waiting import LONG, no_hang, until

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]

on_both_sides = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])

cluster_of = partial(clusters.cluster_of, names="abc", decode_responses=True, timeout=LONG)


@pytest.fixture
def fronts(redis_servers: Servers, proxy: Proxies) -> list[FaultProxy]:
    return [proxy(server, tcp=True) for server in redis_servers(2)]


@contextmanager
def in_thread(call: Callable[[], Any]) -> Iterator[list[Any]]:
    """Call a function in a thread for the time of a block, and have its end."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        thread.join(LONG)
        assert not thread.is_alive()


@on_both_sides
def test_messages_of_the_others_come_while_a_connect_hangs(side: Side, fronts: list[FaultProxy]) -> None:
    async def scenario(side: Side) -> list[Any]:
        cluster = side.cluster(clusters.settings_of(*fronts, names="ab", decode_responses=True, timeout=LONG))
        there, gone = clusters.keys_of(cluster, "news:{}")
        subscriber = cluster.pubsub(ignore_subscribe_messages=True)
        try:
            await side(subscriber.subscribe(there, gone))
            fronts[1].hang_connects()
            fronts[1].drop()
            with pytest.raises(HostDown):
                while True:
                    await side(subscriber.get_message(timeout=0.2))
            found: list[Any] = []
            for number in range(3):
                with no_hang(LONG / 2):
                    assert await side(subscriber.get_message(timeout=0.01)) is None
                    await side(cluster.publish(there, str(number)))
                    message = None
                    while message is None:
                        message = await side(subscriber.get_message(timeout=1))
                found.append(message["data"])
            fronts[1].accept()  # and then that host is heard again
            message = None
            while message is None:
                await side(cluster.publish(gone, "back"))
                message = await side(subscriber.get_message(timeout=0.1))
            return [*found, message["data"]]
        finally:
            await side(subscriber.aclose() if side.name == "asyncio" else subscriber.close())

    assert side.run(scenario) == ["0", "1", "2", "back"]


def test_a_subscribe_that_hangs_keeps_no_other_thread_from_messages(fronts: list[FaultProxy]) -> None:
    with cluster_of(*fronts) as cluster, cluster.pubsub(ignore_subscribe_messages=True) as subscriber:
        there, gone = clusters.keys_of(cluster, "news:{}")
        subscriber.subscribe(there)
        fronts[1].hang_connects()
        with in_thread(lambda: subscriber.subscribe(gone)) as subscribed:
            until(lambda: begun(subscriber))
            cluster.publish(there, "hello")
            message = None
            while message is None:
                message = subscriber.get_message(timeout=1)
            assert message["data"] == "hello"
            assert gone not in subscriber.channels
            assert subscribed == []  # it still waits
            fronts[1].accept()
        assert subscribed == [None]
        assert gone in subscriber.channels


def test_a_subscribe_is_refused_by_a_close_meanwhile(fronts: list[FaultProxy]) -> None:
    with cluster_of(*fronts) as cluster:
        there, gone = clusters.keys_of(cluster, "news:{}")
        subscriber = cluster.pubsub()
        subscriber.subscribe(there)
        fronts[1].hang_connects()
        with in_thread(lambda: subscriber.subscribe(gone)) as subscribed:
            until(lambda: begun(subscriber))
            with no_hang(LONG / 2):
                subscriber.close()
            fronts[1].accept()
        assert isinstance(subscribed[0], PubSubError)
        assert not subscriber.subscribed
        until(lambda: fronts[0].open_connections + fronts[1].open_connections == 0 or idle(cluster))


def begun(subscriber: Any) -> bool:
    return any(line._opening is not None for line in subscriber._all.lines.values())


def idle(cluster: Cluster) -> bool:
    """Whether no server has a subscriber."""
    return bool(cluster.pubsub_channels() == [[], []])


def test_closing_waits_for_no_connect(fronts: list[FaultProxy]) -> None:
    with cluster_of(*fronts) as cluster:
        there, gone = clusters.keys_of(cluster, "news:{}")
        subscriber = cluster.pubsub()
        subscriber.subscribe(there, gone)
        fronts[1].hang_connects()
        fronts[1].drop()
        with pytest.raises(HostDown):
            while True:
                subscriber.get_message(timeout=0.2)
        with no_hang(LONG / 2):
            while not begun(subscriber):
                subscriber.get_message(timeout=0.01)
            subscriber.close()
        assert subscriber.get_message(timeout=0.01) is None
        fronts[1].accept()
        until(lambda: idle(cluster))


def test_a_new_host_that_hangs_keeps_no_messages_back(redis_servers: Servers, proxy: Proxies) -> None:
    old, new = redis_servers(2)
    front = proxy(new, tcp=True)
    with (
        clusters.cluster_of(old, names="a", decode_responses=True, timeout=LONG) as cluster,
        cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
    ):
        names = [f"news:{number}" for number in range(20)]
        subscriber.subscribe(*names)
        front.hang_connects()
        cluster.add_host(
            "b", {"host": "127.0.0.1", "port": front.port, "decode_responses": True, "timeout": LONG}
        )
        stay = next(name for name in names if cluster.router.locate(name.encode()) == "a")
        moves = next(name for name in names if cluster.router.locate(name.encode()) == "b")
        with no_hang(LONG / 2):
            cluster.publish(stay, "hello")
            message = None
            while message is None:
                message = subscriber.get_message(timeout=0.2)
        assert message["data"] == "hello"
        front.accept()
        message = None
        while message is None:
            cluster.publish(moves, "moved")
            message = subscriber.get_message(timeout=0.1)
        assert message["data"] == "moved"


def test_a_child_process_hears_for_itself(redis_servers: Servers) -> None:
    """Whatever the parent's threads were at: one waits for messages, and holds the lock now and then."""
    with (
        cluster_of(*redis_servers(2)) as cluster,
        cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
    ):
        channels = clusters.keys_of(cluster, "news:{}")
        subscriber.subscribe(*channels)
        ready, told = os.pipe(), os.pipe()
        forked = threading.Event()
        with in_thread(lambda: holding(subscriber, forked)):
            until(lambda: is_taken(subscriber._lock))
            child = os.fork()
            if child == 0:
                _hear(subscriber, ready[1], told[1])
            forked.set()
        os.close(ready[1])
        os.close(told[1])
        assert os.read(ready[0], 1) == b"r"  # the child has subscribed
        cluster.publish(channels[1], "hello")
        message = None
        while message is None:
            message = subscriber.get_message(timeout=1)
        assert message["data"] == "hello"
        assert os.read(told[0], 100) == b"hello"
        os.waitpid(child, 0)
        for end in (ready[0], told[0]):
            os.close(end)


def is_taken(lock: Any) -> bool:
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


def holding(subscriber: Any, end: threading.Event) -> None:
    with subscriber._lock:
        end.wait(LONG)


def _hear(subscriber: Any, ready: int, told: int) -> None:
    try:
        while any(line.socket is None for line in subscriber._all.lines.values()):
            subscriber.get_message(timeout=0.05)
        subscriber.get_message(timeout=0.2)
        os.write(ready, b"r")
        message = None
        while message is None:
            message = subscriber.get_message(timeout=1)
        os.write(told, message["data"].encode())
    finally:
        os._exit(0)
