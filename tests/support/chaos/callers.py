"""The callers of long traffic: each calls one kind of command after another, and books how they end.

A call is written once, as a coroutine. On the asyncio side it awaits what the cluster returns; on the blocking side a cluster
returns values, nothing is ever waited for, and a thread runs the coroutine to its end in one step.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
import traceback
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from chaos.ledger import Book, Marks
from nydus_core import AsyncCluster, CommandError
from nydus_core.command import Outcome, outcome_of
from nydus_core.errors import RoutingError

__all__ = ["COUNTERS", "NAMES", "Caller", "Subscriber", "drive"]

#: How many counters each caller has.
COUNTERS = 8
#: Keys that hold their own names, on every server.
NAMES = [f"name:{number}" for number in range(40)]
_QUEUES = ("queue:0", "queue:1")


def drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a blocking call has returned something to wait for")


async def _value(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


@asynccontextmanager
async def _entered(block: Any, *, aio: bool) -> AsyncGenerator[Any]:
    """Enter a block of either side."""
    if aio:
        async with block as entered:
            yield entered
    else:
        with block as entered:
            yield entered


class Caller:
    """Calls a cluster.

    Parameters:
        name: Its name, which begins the keys of its counters.
        cluster: The cluster, of either side.
        engine: The name of the engine.
        number: Its number: what it puts into queues, and publishes, are numbers that nobody else has.
        taken: Marks the elements that were taken out of queues.

    Attributes:
        book: What it knows.
        parked: Whether it waits until it may go on.
    """

    def __init__(self, name: str, cluster: Any, engine: str, number: int, taken: Marks) -> None:
        self.name = name
        self.book = Book()
        self.parked = False
        self._cluster = cluster
        self._redis = engine == "redis"
        self._aio = isinstance(cluster, AsyncCluster)
        self._dice = random.Random(name)
        self._numbers = iter(range(number * 40_000, (number + 1) * 40_000))
        self._taken = taken
        kinds: dict[str, int] = {"incr": 5, "hurried": 2, "map": 4, "read": 4, "many": 3, "everyone": 1}
        if self._redis:
            kinds |= {"pipeline": 2, "watched": 2, "feed": 2, "pop": 2, "scan": 1, "publish": 2, "of_host": 1}
        self._kinds, self._weights = list(kinds), list(kinds.values())

    async def step(self) -> None:
        """Do one call."""
        (kind,) = self._dice.choices(self._kinds, self._weights)
        try:
            await getattr(self, f"_{kind}")()
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except RoutingError as error:  # its host has just gone
            self.book.note(kind, outcome_of(error))
        except Exception as error:
            self._strange(kind, error)

    def _strange(self, kind: str, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        self.book.complain(f"{self.name} {kind}: {trace}")

    def _key(self) -> str:
        return f"{self.name}:{self._dice.randrange(COUNTERS)}"

    async def _counted(self, kind: str, key: str) -> None:
        try:
            value = await _value(self._cluster.incr(key, 1))
        except Exception as error:
            self.book.note(kind, outcome_of(error), key)
            self._check(error, kind)
        else:
            self._booked(kind, key, value)

    def _booked(self, kind: str, key: str, value: Any) -> None:
        if value is None and not self._redis:  # memcached has no such key: it was not counted
            self.book.note(kind, Outcome.VALUE)
        else:
            self.book.note(kind, Outcome.VALUE, key)
            if type(value) is not int:
                self.book.complain(f"{self.name}: incr was answered {value!r}")

    def _check(self, error: Exception, kind: str) -> None:
        """A server is asked for nothing that it would refuse; all it may say is that it is not ready."""
        if outcome_of(error) is not Outcome.SERVER_ERROR or isinstance(error, RoutingError):
            return
        if not any(words in str(error) for words in ("LOADING", "loading", "Watched variable changed")):
            self._strange(kind, error)

    # Kinds of calls ---------------------------------------------------------------------------------------------------

    async def _incr(self) -> None:
        await self._counted("incr", self._key())

    async def _hurried(self) -> None:
        with self._cluster.deadline(self._dice.choice((0.001, 0.005, 0.02, 0.05))):
            await self._counted("small deadline", self._key())

    async def _map(self) -> None:
        keys = [self._key() for _ in range(self._dice.randint(2, 12))]
        deadline = self._cluster.deadline(0.1) if self._dice.random() < 0.2 else nullcontext()
        transaction = self._redis and self._dice.random() < 0.25
        promises: list[Any] = []
        with deadline:
            try:
                async with _entered(self._cluster.map(transaction=transaction), aio=self._aio) as conn:
                    promises += [conn.incr(key, 1) for key in keys]
            except CommandError:
                pass
        for key, promise in zip(keys, promises, strict=True):
            if promise.outcome is Outcome.VALUE:
                self._booked("map", key, promise.value)
            else:
                self.book.note("map", promise.outcome, key)
                self._check(promise.error, "map")

    async def _read(self) -> None:
        await self._named("read", [self._dice.choice(NAMES)])

    async def _many(self) -> None:
        await self._named("many", self._dice.sample(NAMES, 5))

    async def _named(self, kind: str, keys: Sequence[str]) -> None:
        """Read keys that hold their names."""
        try:
            if len(keys) == 1:
                values = [await _value(self._cluster.get(keys[0]))]
            elif self._redis:
                values = await _value(self._cluster.mget(keys))
            else:
                found = await _value(self._cluster.get_many(keys))
                values = [found.get(key) for key in keys]
        except Exception as error:
            self.book.note(kind, outcome_of(error))
            self._check(error, kind)
            return
        self.book.note(kind, Outcome.VALUE)
        for key, value in zip(keys, values, strict=True):
            if value != key.encode() and not (value is None and not self._redis):
                self.book.complain(f"{self.name}: {key} was answered {value!r}")

    async def _everyone(self) -> None:
        try:
            await _value(self._cluster.ping() if self._redis else self._cluster.version())
        except Exception as error:
            self.book.note("everyone", outcome_of(error))
            self._check(error, "everyone")
        else:
            self.book.note("everyone", Outcome.VALUE)

    async def _pipeline(self) -> None:
        await self._piped("pipeline", self._cluster)

    async def _of_host(self) -> None:
        await self._piped(
            "pipeline of one host", self._cluster.on(self._dice.choice(list(self._cluster.hosts)))
        )

    async def _piped(self, kind: str, client: Any) -> None:
        keys = [self._key() for _ in range(self._dice.randint(1, 6))]
        pipeline = client.pipeline(self._dice.random() < 0.5)
        for key in keys:
            pipeline.incr(key)
        try:
            values = await _value(pipeline.execute(raise_on_error=False))
        except Exception as error:
            values = [error] * len(keys)
        for key, value in zip(keys, values, strict=True):
            if isinstance(value, Exception):
                self.book.note(kind, outcome_of(value), key)
                self._check(value, kind)
            else:
                self._booked(kind, key, value)

    async def _watched(self) -> None:
        key = self._key()
        try:
            client = self._cluster.on_key(key)
            async with _entered(client.pipeline(), aio=self._aio) as pipeline:
                await _value(pipeline.watch(key))
                await _value(pipeline.get(key))
                pipeline.multi()
                pipeline.incr(key)
                (value,) = await _value(pipeline.execute())
        except Exception as error:
            self.book.note("watched transaction", outcome_of(error), key)
            self._check(error, "watched transaction")
        else:
            self._booked("watched transaction", key, value)

    async def _feed(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            return
        key = self._dice.choice(_QUEUES)
        try:
            await _value(self._cluster.rpush(key, number))
        except Exception as error:
            self.book.note("feed", outcome_of(error), "fed")
            self._check(error, "feed")
        else:
            self.book.note("feed", Outcome.VALUE, "fed")

    async def _pop(self) -> None:
        key = self._dice.choice(_QUEUES)
        try:
            found = await _value(self._cluster.blpop([key], timeout=0.02))
        except Exception as error:
            self.book.note("pop", outcome_of(error), "taken")
            self._check(error, "pop")
            return
        self.book.note("pop", Outcome.VALUE, "taken" if found else "")
        if found and not self._taken.add(int(found[1])):
            self.book.complain(f"{self.name}: {found[1]!r} was taken twice")

    async def _scan(self) -> None:
        try:
            found = self._cluster.scan_iter(match="name:*", count=100)
            names = [key async for key in found] if self._aio else list(found)
        except Exception as error:
            self.book.note("scan", outcome_of(error))
            self._check(error, "scan")
            return
        self.book.note("scan", Outcome.VALUE)
        if strange := {key.decode() for key in names} - set(NAMES):
            self.book.complain(f"{self.name}: a scan has found {strange}")

    async def _publish(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            return
        channel = self._dice.choice(("channel:0", "channel:1", "channel:2"))
        try:
            await _value(self._cluster.publish(channel, f"{channel} {number}"))
        except Exception as error:
            self.book.note("publish", outcome_of(error))
            self._check(error, "publish")
        else:
            self.book.note("publish", Outcome.VALUE)


class Subscriber:
    """Hears the channels of a cluster.

    Parameters:
        cluster: The cluster.

    Attributes:
        book: What it knows.
        parked: Whether it waits until it may go on.
    """

    def __init__(self, cluster: Any) -> None:
        self.book = Book()
        self.parked = False
        self._cluster = cluster
        self._aio = isinstance(cluster, AsyncCluster)
        self._heard = Marks()
        self._subscriber: Any = None

    async def step(self) -> None:
        """Wait for a message, and look at it."""
        try:
            if self._subscriber is None:
                self._subscriber = self._cluster.pubsub()
                await _value(self._subscriber.subscribe("channel:0", "channel:1", "channel:2"))
            message = await _value(self._subscriber.get_message(timeout=0.05))
        except Exception as error:
            self.book.note("message", outcome_of(error))
            if outcome_of(error) is Outcome.SERVER_ERROR:
                self.book.complain(f"a subscriber: {type(error).__name__}: {error}")
            await _pause(0.01, aio=self._aio)
            return
        if message is None or message["type"] != "message":
            return
        self.book.note("message", Outcome.VALUE)
        channel, number = message["data"].decode().split()
        if channel != message["channel"].decode():
            self.book.complain(f"a message of {channel} was heard on {message['channel']!r}")
        if not self._heard.add(int(number)):
            self.book.complain(f"message {number} of {channel} was heard twice")

    async def close(self) -> None:
        """End it."""
        if self._subscriber is not None:
            await _value(self._subscriber.aclose() if self._aio else self._subscriber.close())


async def _pause(seconds: float, *, aio: bool) -> None:
    if aio:
        await asyncio.sleep(seconds)
    else:
        time.sleep(seconds)
