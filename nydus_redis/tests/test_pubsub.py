"""Subscriptions over many hosts: every message once, a host that is lost told, and what moves with the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

import clusters
from nydus_core import Cluster, HostDown, MaybeApplied
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side
from waiting import LONG, until

Servers = Callable[..., list[PrivateServer]]

on_both_sides = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])
WAIT = LONG


cluster_of = partial(clusters.cluster_of, names="abc", decode_responses=True)


channels_of = partial(clusters.keys_of, form="news:{}")


def said(subscriber: Any, count: int, kind: str = "") -> list[dict[str, Any]]:
    """The next messages, of a kind."""
    found: list[dict[str, Any]] = []
    end = time.monotonic() + WAIT
    while len(found) < count and time.monotonic() < end:
        message = subscriber.get_message(timeout=0.2)
        if message is not None and (not kind or message["type"] == kind):
            found.append(message)
    return found


def nothing_more(subscriber: Any) -> bool:
    return subscriber.get_message(timeout=0.03) is None


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        yield cluster


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_each_message_is_heard_once_whatever_its_host(
    redis_servers: Servers, protocol: int, decode: bool
) -> None:
    with (
        cluster_of(*redis_servers(3), protocol=protocol, decode_responses=decode) as cluster,
        cluster.pubsub() as subscriber,
    ):

        def text(word: str) -> str | bytes:
            return word if decode else word.encode()

        channels = channels_of(cluster)
        subscriber.subscribe(*channels)
        told = said(subscriber, 3)
        assert {message["channel"] for message in told} == set(map(text, channels))
        assert [(message["type"], message["data"]) for message in told] == [
            ("subscribe", n) for n in (1, 2, 3)
        ]
        assert [cluster.publish(channel, "hello") for channel in channels] == [1, 1, 1]
        assert sorted(message["channel"] for message in said(subscriber, 3)) == sorted(map(text, channels))
        assert nothing_more(subscriber)
        assert cluster.execute_command("PUBLISH", channels[1], "raw") == 1
        assert said(subscriber, 1) == [
            {"type": "message", "pattern": None, "channel": text(channels[1]), "data": text("raw")}
        ]
        subscriber.unsubscribe(channels[0])
        assert [(m["type"], m["channel"], m["data"]) for m in said(subscriber, 1)] == [
            ("unsubscribe", text(channels[0]), 2)
        ]
        assert cluster.publish(channels[0], "hello") == 0


def test_a_pattern_is_heard_on_all_hosts_and_said_once(cluster: Cluster) -> None:
    subscriber = cluster.pubsub()
    subscriber.psubscribe("news:*")
    assert said(subscriber, 1) == [{"type": "psubscribe", "pattern": None, "channel": "news:*", "data": 1}]
    for channel in channels_of(cluster):
        cluster.publish(channel, "hello")
    assert {m["channel"] for m in said(subscriber, 3, "pmessage")} == set(channels_of(cluster))
    assert nothing_more(subscriber)
    assert subscriber.patterns == {"news:*": None}
    subscriber.punsubscribe()
    assert said(subscriber, 1) == [{"type": "punsubscribe", "pattern": None, "channel": "news:*", "data": 0}]
    assert not subscriber.subscribed
    assert list(subscriber.listen()) == []
    subscriber.close()


def test_shard_channels(cluster: Cluster) -> None:
    with cluster.pubsub() as subscriber:
        subscriber.ssubscribe(*channels_of(cluster))
        assert len(said(subscriber, 3, "ssubscribe")) == 3
        assert [cluster.spublish(channel, "hello") for channel in channels_of(cluster)] == [1, 1, 1]
        assert len(said(subscriber, 3, "smessage")) == 3
        subscriber.sunsubscribe()
        assert len(said(subscriber, 3, "sunsubscribe")) == 3


def test_handlers_take_their_messages(cluster: Cluster) -> None:
    heard: list[Any] = []
    with cluster.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe(**dict.fromkeys(channels_of(cluster), heard.append))
        subscriber.psubscribe(**{"new*": lambda message: heard.append(message["pattern"])})
        subscriber.subscribe("plain")
        assert nothing_more(subscriber)
        cluster.publish(channels_of(cluster)[2], "hello")
        cluster.publish("plain", "spoken")
        assert [message["data"] for message in said(subscriber, 1)] == ["spoken"]
        until(lambda: subscriber.get_message(timeout=0.1) or len(heard) == 2)
        assert sorted(str(each if isinstance(each, str) else each["data"]) for each in heard) == [
            "hello",
            "new*",
        ]


def test_a_thread_of_redis_py_reads_it(cluster: Cluster) -> None:
    heard: list[Any] = []
    done = threading.Event()

    def hear(message: Any) -> None:
        heard.append(message["channel"])
        if len(heard) == 3:
            done.set()

    subscriber = cluster.pubsub()
    subscriber.subscribe("plain")
    with pytest.raises(redis.PubSubError, match="no handler"):
        subscriber.run_in_thread()
    subscriber.unsubscribe("plain")
    first, *others = channels_of(cluster)
    subscriber.subscribe(**{first: hear})
    said(subscriber, 3)
    thread = subscriber.run_in_thread(sleep_time=0.05, daemon=True)
    subscriber.subscribe(**dict.fromkeys(others, hear))  # while it listens
    for channel in channels_of(cluster):
        until(lambda channel=channel: cluster.publish(channel, "hello"))  # type: ignore[misc]
    assert done.wait(WAIT)
    thread.stop()
    thread.join(WAIT)
    assert sorted(heard) == sorted(channels_of(cluster))
    assert not subscriber.subscribed


def test_no_host_is_heard_at_the_cost_of_another(cluster: Cluster) -> None:
    channels = channels_of(cluster)
    with cluster.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe(*channels)
        for _ in range(3):
            assert nothing_more(subscriber)
        for number in range(100):
            cluster.publish(channels[0], number)
        for channel in channels[1:]:
            cluster.publish(channel, "quiet")
        cluster.ping()  # the hosts have written what they had to say before they answer
        assert {message["channel"] for message in said(subscriber, 6)} == set(channels)


def test_order_is_kept_and_nothing_lost_under_load(cluster: Cluster) -> None:
    channels = channels_of(cluster)
    with cluster.pubsub() as subscriber:
        subscriber.subscribe(*channels)
        said(subscriber, 3)
        with cluster.map() as conn:
            for number in range(500):
                for channel in channels:
                    conn.publish(channel, f"{number}:" + "x" * 200)
        heard = said(subscriber, 1500)
        for channel in channels:
            numbers = [int(m["data"].split(":")[0]) for m in heard if m["channel"] == channel]
            assert numbers == list(range(500))


def test_events_of_keys_come_from_the_host_of_the_key(new_redis_server: Callable[..., PrivateServer]) -> None:
    servers = [new_redis_server({"notify-keyspace-events": "KEA"}) for _ in range(3)]
    with cluster_of(*servers) as cluster, cluster.pubsub() as subscriber:
        keys = channels_of(cluster)
        subscriber.subscribe(*(f"__keyspace@0__:{key}" for key in keys), "__keyevent@0__:set")
        assert len(said(subscriber, 4)) == 4
        for key in keys:
            cluster.set(key, 1)
        heard = said(subscriber, 6)
        assert sorted(m["data"] for m in heard) == sorted([*keys, "set", "set", "set"])
        assert nothing_more(subscriber)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_ping_is_answered_once(redis_servers: Servers, protocol: int, decode: bool) -> None:
    servers = redis_servers(3)
    with (
        cluster_of(*servers, protocol=protocol, decode_responses=decode) as cluster,
        cluster.pubsub() as subscriber,
    ):
        subscriber.psubscribe("*")
        said(subscriber, 1)
        subscriber.ping("there?")
        assert [(m["type"], m["data"]) for m in said(subscriber, 1)] == [
            ("pong", "there?" if decode else b"there?")
        ]
        assert nothing_more(subscriber)


def test_waiting_without_subscriptions_takes_as_long_as_asked(cluster: Cluster) -> None:
    subscriber = cluster.pubsub()
    assert subscriber.get_message() is None
    thread = threading.Timer(0.05, lambda: subscriber.subscribe("late"))
    thread.start()
    assert [m["type"] for m in said(subscriber, 1)] == ["subscribe"]
    thread.join()
    subscriber.close()
    assert not subscriber.subscribed


# Hosts that fail ---------------------------------------------------------------------------------------------------


def hear_through_errors(
    subscriber: Any, count: int, seconds: float = WAIT
) -> tuple[list[Any], list[Exception]]:
    heard: list[Any] = []
    errors: list[Exception] = []
    end = time.monotonic() + seconds
    while len(heard) < count and time.monotonic() < end:
        try:
            message = subscriber.get_message(timeout=0.1)
        except redis.ConnectionError as error:
            errors.append(error)
        else:
            heard += [message] * (message is not None)
    return heard, errors


def test_a_lost_connection_is_told_and_subscribed_again(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relays = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*relays) as cluster, cluster.pubsub() as subscriber:
        channels = channels_of(cluster)
        subscriber.subscribe(*channels)
        subscriber.psubscribe("news:*")
        said(subscriber, 4)
        relays[1].drop()
        heard, errors = hear_through_errors(subscriber, 2)
        assert [type(error).__mro__[1] for error in errors] == [HostDown]
        assert f"SUBSCRIBE b'{channels[1]}', b'news:*' was not taken by host 'b'" in str(errors[0])
        assert "until it is subscribed again is lost" in str(errors[0])
        assert [(m["type"], m["channel"]) for m in heard] == [
            ("subscribe", channels[1]),
            ("psubscribe", "news:*"),
        ]
        assert [cluster.publish(channel, "hello") for channel in channels] == [2, 2, 2]
        assert len(said(subscriber, 6)) == 6
        assert nothing_more(subscriber)


def test_a_host_that_stays_down_does_not_silence_the_others(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    dying = new_redis_server()
    with cluster_of(dying, *redis_servers(2)) as cluster, cluster.pubsub() as subscriber:
        mine, other, _ = channels_of(cluster)
        subscriber.subscribe(mine, other)
        said(subscriber, 2)
        dying.stop()
        for number in range(5):
            cluster.publish(other, number)
        heard, errors = hear_through_errors(subscriber, 5)
        assert [m["data"] for m in heard] == list("01234")
        while len(errors) < 3:  # and goes on telling it
            errors += hear_through_errors(subscriber, 1, seconds=0.2)[1]
        assert all(isinstance(error, HostDown) for error in errors)
        with pytest.raises(HostDown):
            cluster.publish(mine, "to nobody")


def test_listen_and_threads_see_the_error(redis_servers: Servers, proxy: Callable[..., FaultProxy]) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster, cluster.pubsub() as subscriber:
        told = threading.Event()
        heard = threading.Event()

        def on_error(error: BaseException, pubsub: Any, thread: Any) -> None:
            assert isinstance(error, HostDown)
            told.set()

        subscriber.subscribe(news=lambda message: heard.set())
        said(subscriber, 1)
        relay.drop()
        with pytest.raises(HostDown):
            list(subscriber.listen())
        said(subscriber, 1)
        thread = subscriber.run_in_thread(sleep_time=0.05, daemon=True, exception_handler=on_error)
        relay.drop()
        assert told.wait(WAIT)
        until(lambda: cluster.publish("news", "again"))
        assert heard.wait(WAIT)
        thread.stop()
        thread.join(WAIT)


def test_a_host_that_hangs_is_found_out_by_its_health_check(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with (
        cluster_of(relay, health_check_interval=0.02) as cluster,
        cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
    ):
        subscriber.subscribe("news")

        def checked(times: int) -> bool:
            assert subscriber.get_message(timeout=0.02) is None  # health checks are answered, and not shown
            return b"".join(relay.requests).count(b"health-check") >= times

        until(lambda: checked(3))
        relay.blackhole = True
        (line,) = subscriber._all.lines.values()
        line._patience = 0.1
        with pytest.raises(redis.TimeoutError, match="health check"):
            until(lambda: subscriber.get_message(timeout=0.1))


def test_a_silent_host_gets_one_health_check_in_each_interval(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay, interval = proxy(redis_servers(1)[0]), 0.25
    with (
        cluster_of(relay, health_check_interval=interval) as cluster,
        cluster.pubsub(ignore_subscribe_messages=True) as subscriber,
    ):
        start = time.monotonic()
        subscriber.subscribe("news")

        def checks() -> int:
            assert subscriber.get_message(timeout=0.01) is None
            return b"".join(relay.requests).count(b"health-check")

        until(lambda: checks() >= 6)
        assert checks() <= (time.monotonic() - start) / interval + 1


def test_a_subscription_that_fails_on_one_host_is_one_on_none(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    down = new_redis_server()
    with cluster_of(*redis_servers(2), down) as cluster, cluster.pubsub() as subscriber:
        channels = channels_of(cluster)
        subscriber.subscribe(channels[0])
        said(subscriber, 1)
        down.stop()
        with pytest.raises(HostDown):
            subscriber.psubscribe("news:*")
        with pytest.raises(HostDown):
            subscriber.subscribe(*channels)
        assert subscriber.channels == {channels[0]: None}
        assert subscriber.patterns == {}
        until(lambda: not cluster.publish(channels[1], "x"))
        cluster.publish(channels[0], "hello")
        assert [m["data"] for m in said(subscriber, 1, "message")] == ["hello"]
        assert nothing_more(subscriber)


def test_ending_a_subscription_on_a_host_that_is_down_ends_it(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster, cluster.pubsub() as subscriber:
        subscriber.subscribe("news")
        said(subscriber, 1)
        server.stop()
        with pytest.raises(HostDown):
            subscriber.get_message(timeout=WAIT)
        subscriber.unsubscribe("news")
        assert [(m["type"], m["data"]) for m in said(subscriber, 1)] == [("unsubscribe", 0)]
        assert list(subscriber.listen()) == []


def test_an_end_that_is_not_confirmed_by_a_host_that_is_lost_is_told_all_the_same(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relays = [proxy(server) for server in redis_servers(2)]
    with cluster_of(*relays) as cluster, cluster.pubsub() as subscriber:
        mine, other = channels_of(cluster)
        subscriber.subscribe(mine, other)
        subscriber.psubscribe("news:*")
        said(subscriber, 3)
        relays[0].blackhole = True
        subscriber.unsubscribe(mine)
        subscriber.punsubscribe()
        assert nothing_more(subscriber)
        relays[0].drop()
        relays[0].blackhole = False
        heard, errors = hear_through_errors(subscriber, 2)
        assert [type(error).__mro__[1] for error in errors] == [HostDown]
        assert {m["type"] for m in heard} == {"unsubscribe", "punsubscribe"}
        assert subscriber.channels == {other: None}
        assert subscriber.patterns == {}
        assert [cluster.publish(channel, "hello") for channel in (mine, other)] == [0, 1]
        assert [m["channel"] for m in said(subscriber, 1)] == [other]
        assert nothing_more(subscriber)


def test_one_that_ended_while_its_host_was_down_is_not_heard_when_that_is_back(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster, cluster.pubsub() as subscriber:
        subscriber.subscribe("ended", "kept")
        said(subscriber, 2)
        server.kill()
        with pytest.raises(HostDown):
            subscriber.get_message(timeout=WAIT)
        server.restart()
        subscriber.unsubscribe("ended")
        said(subscriber, 2)
        for _ in range(2):  # also after another loss
            assert cluster.publish("ended", "x") == 0
            assert cluster.publish("kept", "hello") == 1
            assert [m["data"] for m in said(subscriber, 1, "message")] == ["hello"]
            server.kill()
            with pytest.raises(HostDown):
                subscriber.get_message(timeout=WAIT)
            server.restart()
            while not hear_through_errors(subscriber, 1)[0]:
                pass


def test_a_server_that_refuses_a_subscription_says_so(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with cluster_of(server) as admin:
        admin.acl_setuser(
            "narrow", enabled=True, nopass=True, commands=["+@all"], keys=["*"], channels=["open"], reset=True
        )
    with cluster_of(server, username="narrow", password="x") as cluster, cluster.pubsub() as subscriber:
        subscriber.subscribe("closed")
        with pytest.raises(redis.exceptions.NoPermissionError):
            said(subscriber, 1)


@pytest.mark.parametrize("name", ["__keyspace@0__:k", "__keyevent@0__:set", "__subkeyevent@0__:hset"])
def test_what_servers_publish_themselves_is_heard_on_all_hosts(cluster: Cluster, name: str) -> None:
    with cluster.pubsub() as subscriber:
        subscriber.subscribe(name)
        assert len(said(subscriber, 1)) == 1
        assert cluster.pubsub_numsub(name) == [[(name, 1)]] * 3


def test_listening_ends_when_another_thread_closes(cluster: Cluster) -> None:
    subscriber = cluster.pubsub()
    subscriber.subscribe("news")
    heard: list[str] = []
    for message in subscriber.listen():
        heard.append(message["type"])
        threading.Timer(0.05, subscriber.close).start()
    assert heard == ["subscribe"]


# Clusters that change ------------------------------------------------------------------------------------------------


def test_subscriptions_follow_the_cluster_to_other_hosts(redis_servers: Servers) -> None:
    servers = redis_servers(3)
    with cluster_of(*servers[:2]) as cluster, cluster.pubsub() as subscriber:
        names = [f"news:{number}" for number in range(20)]
        subscriber.subscribe(*names)
        subscriber.psubscribe("*:7")
        said(subscriber, 21)
        cluster.add_host("c", {"unix_socket_path": servers[2].path, "decode_responses": True})
        moved = [name for name in names if cluster.router.locate(name.encode()) == "c"]
        assert moved
        until(
            lambda: (
                nothing_more(subscriber)
                and cluster.on("c").pubsub_numsub(*moved) == [(name, 1) for name in moved]
            )
        )
        for name in names:
            cluster.publish(name, "hello")
        assert sorted(m["channel"] for m in said(subscriber, 21)) == sorted([*names, "news:7"])
        cluster.remove_host("a")
        assert nothing_more(subscriber)
        for name in names:
            cluster.publish(name, "again")
        assert sorted(m["channel"] for m in said(subscriber, 21)) == sorted([*names, "news:7"])
        assert nothing_more(subscriber)
        subscriber.unsubscribe()
        subscriber.punsubscribe()
        assert len(said(subscriber, 21)) == 21
        assert not subscriber.subscribed


# Routers without keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("router", "answer"), [(None, [1, 0, 0]), ("broadcast", [1, 0, 0]), ("round-robin", 1)]
)
def test_without_a_router_by_key_each_message_is_heard_once_too(
    redis_servers: Servers, router: Any, answer: Any
) -> None:
    with cluster_of(*redis_servers(3), router=router) as cluster, cluster.pubsub() as subscriber:
        subscriber.subscribe("news")
        assert [m["type"] for m in said(subscriber, 1)] == ["subscribe"]
        assert [cluster.publish("news", number) for number in range(6)] == [answer] * 6
        assert sorted(m["data"] for m in said(subscriber, 6)) == list("012345")
        assert nothing_more(subscriber)


def test_a_message_is_not_published_where_nobody_listens(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    down = new_redis_server()
    with cluster_of(down, *redis_servers(2), router="consistent") as cluster:
        mine = channels_of(cluster)[0]
        assert cluster.set(mine, 1)
        down.stop()
        assert cluster.set(mine, 1)  # a key is rerouted
        calls: list[Callable[[], Any]] = [
            lambda: cluster.publish(mine, "x"),
            lambda: cluster.spublish(mine, "x"),
        ]
        for call in calls:
            with pytest.raises(HostDown):
                call()
        with pytest.raises(HostDown):
            cluster.pipeline().publish(mine, "x").execute()


def test_a_message_whose_answer_is_lost_is_not_published_twice(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    (server,) = redis_servers(1)
    relay = proxy(server)
    with (
        cluster_of(relay) as cluster,
        redis.Redis(unix_socket_path=server.path) as plain,
        plain.pubsub(ignore_subscribe_messages=True) as subscriber,
    ):
        subscriber.subscribe("news")
        subscriber.get_message(timeout=WAIT)
        cluster.ping()
        relay.cut_replies(times=1)
        with pytest.raises(MaybeApplied):
            cluster.publish("news", "once")
        assert [m["data"] for m in said(subscriber, 1)] == [b"once"]
        assert nothing_more(subscriber)


def test_what_hosts_know_of_subscriptions(cluster: Cluster) -> None:
    channels = channels_of(cluster)
    with cluster.pubsub() as subscriber:
        subscriber.subscribe(*channels)
        said(subscriber, 3)
        assert cluster.pubsub_channels() == [[channel] for channel in channels]
        assert cluster.pubsub_numsub(channels[0]) == [[(channels[0], n)] for n in (1, 0, 0)]
        assert cluster.pubsub_numpat() == [0, 0, 0]


def test_names_may_come_with_handlers_of_their_own(redis_servers: Servers) -> None:
    typing: Any = pytest.importorskip("redis.typing")
    if not hasattr(typing, "Subscription"):
        pytest.skip("this version of redis-py has no class for it")
    heard: list[Any] = []
    with (
        cluster_of(*redis_servers(3), decode_responses=False) as cluster,
        cluster.pubsub() as subscriber,
    ):
        subscriber.subscribe(typing.Subscription(b"\xe9", heard.append), "plain")
        said(subscriber, 2, "subscribe")
        assert cluster.publish(b"\xe9", "hello") == 1
        until(lambda: subscriber.get_message(timeout=0.1) or heard)
        assert [message["data"] for message in heard] == [b"hello"]


# Ends -----------------------------------------------------------------------------------------------------------------


def kinds(found: list[Any]) -> list[tuple[str, int]]:
    return [(message["type"], message["data"]) for message in found if message is not None]


@on_both_sides
@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("kind", ["", "p", "s"])
def test_an_end_is_told_also_if_the_name_is_subscribed_to_again_at_once(
    side: Side, hosts: int, kind: str, redis_servers: Servers
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(clusters.settings_of(*redis_servers(hosts)))
        subscriber = cluster.pubsub()
        subscribe = getattr(subscriber, f"{kind}subscribe")
        unsubscribe = getattr(subscriber, f"{kind}unsubscribe")
        await side(subscribe("a"))
        await side(unsubscribe("a"))
        await side(subscribe("a"))
        await side(unsubscribe("a"))
        await side(subscribe("a"))
        told = [await side(subscriber.get_message(timeout=LONG)) for _ in range(5)]
        assert kinds(told) == [(f"{kind}subscribe", 1), (f"{kind}unsubscribe", 0)] * 2 + [
            (f"{kind}subscribe", 1)
        ]
        await side(unsubscribe("a"))
        assert kinds([await side(subscriber.get_message(timeout=LONG))]) == [(f"{kind}unsubscribe", 0)]
        assert not subscriber.subscribed
        await side(subscriber.close())

    side.run(scenario)


@on_both_sides
def test_closing_the_cluster_closes_subscriptions_on_the_servers(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        servers = redis_servers(2)
        cluster = side.cluster(clusters.settings_of(*servers))
        everywhere, somewhere = cluster.pubsub(), cluster.on(0).pubsub()
        await side(everywhere.psubscribe("n*"))
        await side(somewhere.subscribe("news"))

        watching = side.cluster(clusters.settings_of(*servers))

        async def connections() -> int:
            listed = await side(watching.client_list(_type="pubsub"))
            return sum(len(each) for each in listed)

        while await connections() < 3:
            await side.sleep(0.002)
        await side(cluster.close())
        while await connections():
            await side.sleep(0.002)

        lost = 0
        while not (message := await told(side, everywhere)):
            lost += message is None
            assert lost < 100
        assert message["type"] == "psubscribe", "a subscription that is read again begins anew"
        await side(everywhere.close())
        await side(somewhere.aclose() if side.name == "asyncio" else somewhere.close())

    side.run(scenario)


async def told(side: Side, subscriber: Any) -> Any:
    """Return the next message; None where there is none, or a host was lost."""
    try:
        return await side(subscriber.get_message(timeout=0.5))
    except HostDown:
        return None
