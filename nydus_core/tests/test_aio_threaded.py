"""A blocking engine in worker threads: its values and errors, its bounds, and tasks that will not wait for a thread."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from async_engines import BlockingMemory
from engines import Lost, MemoryEngine, Refused, Store
from in_loop import in_loop
from nydus_core import (
    DeadlineExceeded,
    HostDown,
    MaybeApplied,
    Outcome,
    ThreadedEngine,
    create_async_cluster,
    create_cluster,
)
from nydus_core.aio.workers import Job
from nydus_core.command import Command
from nydus_core.engines.batches import SerialBatch
from waiting import LONG, TooShort, long_enough, until_async


class HoldingStore(Store):
    """A client whose ``hold`` blocks its thread until the test lets it go on.

    Attributes:
        going: What it waits for.
        holding: How many threads are in it, and ``most`` at once.
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.going = threading.Event()
        self.holding = self.most = 0
        self._lock = threading.Lock()

    def hold(self, key: Any = None) -> str:
        with self._lock:
            self.holding += 1
            self.most = max(self.most, self.holding)
            self.log.append(("hold", key))
        self.going.wait(LONG)
        with self._lock:
            self.holding -= 1
        return self.label


class Closing(SerialBatch):
    """A batch that tells the engine what became of it."""

    def abort(self) -> list[Any]:
        self.engine.told.append("aborted")  # type: ignore[attr-defined]
        return super().abort()

    def close(self) -> None:
        self.engine.told.append("closed")  # type: ignore[attr-defined]


class Holding(MemoryEngine):
    """A blocking host.

    Attributes:
        store: What its only client is.
        leaving: What disconnecting waits for.
        told: What became of its batches.
    """

    def __init__(self, num: Any) -> None:
        super().__init__(num)
        self.store = HoldingStore(str(num))
        self.told: list[str] = []
        self.leaving = threading.Event()
        self.leaving.set()

    def connect(self) -> Store:
        return self.store

    def disconnect(self) -> None:
        self.leaving.wait(LONG)
        self.store.open = False

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> SerialBatch:
        return Closing(self, commands)


class Threaded(ThreadedEngine):
    sync_side = Holding
    most_threads = 3


Holding.async_side = Threaded


@pytest.fixture
def cluster() -> Iterator[Any]:
    cluster: Any = create_async_cluster({"engine": Holding, "hosts": {"a": {}}, "retry": {"attempts": 1}})
    host = cluster["a"].engine
    yield cluster
    host.store.going.set()
    host.leaving.set()


def store_of(cluster: Any) -> HoldingStore:
    found: HoldingStore = cluster["a"].engine.store
    return found


async def given_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def mapping(cluster: Any, *names: str) -> tuple[asyncio.Task[None], list[Any]]:
    promises: list[Any] = []

    async def run() -> None:
        async with cluster.map() as conn:
            promises.extend(getattr(conn, name)("n") for name in names)

    return asyncio.ensure_future(run()), promises


def test_values_and_errors_are_those_of_the_blocking_side() -> None:
    async def main() -> None:
        hosts = {"a": {}, "b": {}, "c": {"down": True}}
        cluster = create_async_cluster({"engine": BlockingMemory, "hosts": hosts, "retry": {"attempts": 1}})
        a, c = cluster.on("a"), cluster.on("c")
        assert [await a.incr("n"), await a.incr("n"), await a.admin.size()] == [1, 2, 1]
        with pytest.raises(Refused):
            await a.refuse()
        with pytest.raises(MaybeApplied) as lost:
            await a.lose()
        assert isinstance(lost.value, Lost)
        with pytest.raises(HostDown) as down:
            await c.incr("n")
        assert isinstance(down.value, ConnectionRefusedError)
        async with cluster.map(fail_silently=True) as conn:
            conn.who()
        assert [(failure.name, failure.hosts) for failure in conn.get_errors()] == [("who", ("c",))]
        cluster.remove_host("c")
        assert await cluster.who() == ["a", "b"]

    in_loop(main)


def test_what_is_cancelled_before_its_thread_began_was_not_sent_and_never_is(cluster: Any) -> None:
    async def main() -> None:
        held = [asyncio.ensure_future(cluster.hold("n")) for _ in range(3)]
        await until_async(lambda: store_of(cluster).holding == 3)
        single = asyncio.ensure_future(cluster.incr("n"))
        block, promises = mapping(cluster, "incr", "incr")
        await asyncio.sleep(0.02)
        await given_up(single)
        await given_up(block)
        assert [promise.outcome for promise in promises] == [Outcome.NOT_SENT] * 2
        store_of(cluster).going.set()
        await asyncio.gather(*held)
        assert [each[0] for each in store_of(cluster).log] == ["hold"] * 3
        assert await cluster.incr("n") == 1

    in_loop(main)


def test_what_is_cancelled_in_its_thread_may_have_been_applied_and_the_rest_is_not(cluster: Any) -> None:
    async def main() -> None:
        block, promises = mapping(cluster, "incr", "hold", "incr")
        await until_async(lambda: store_of(cluster).holding)
        await given_up(block)
        assert [promise.outcome for promise in promises] == [
            Outcome.VALUE,
            Outcome.MAYBE_APPLIED,
            Outcome.NOT_SENT,
        ]
        assert cluster["a"].engine.told == ["aborted"]  # its thread still is in it
        store_of(cluster).going.set()
        await until_async(lambda: cluster["a"].engine.told == ["aborted", "closed"])
        assert store_of(cluster).data == {"n": 1}

    in_loop(main)


def test_what_is_cancelled_when_its_thread_is_done_has_its_value(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        engine = cluster["a"].engine

        class Cancelling(Closing):
            def close(self) -> None:
                super().close()
                task.cancel()

        monkeypatch.setattr(engine, "batch", lambda commands, **_: Cancelling(engine, commands))
        task, promises = mapping(cluster, "incr")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert promises == [1]
        assert engine.told == ["closed"]

    in_loop(main)


def test_a_deadline_is_kept_although_the_thread_goes_on(cluster: Any) -> None:
    async def main(seconds: float) -> None:
        with (
            cluster.deadline(seconds),
            pytest.raises(DeadlineExceeded, match=f"deadline of {seconds:g}") as caught,
        ):
            await cluster.hold("n")
        if store_of(cluster).holding == 0:
            raise TooShort
        assert isinstance(caught.value, MaybeApplied)
        assert store_of(cluster).holding == 1

    long_enough(lambda seconds: in_loop(lambda: main(seconds)))


def test_a_host_has_only_so_many_threads_and_the_others_wait_in_line(cluster: Any) -> None:
    async def main() -> None:
        tasks = [asyncio.ensure_future(cluster.hold(number)) for number in range(30)]
        await until_async(lambda: store_of(cluster).holding == 3)
        await asyncio.sleep(0.02)
        store_of(cluster).going.set()
        assert await asyncio.gather(*tasks) == ["a"] * 30
        assert store_of(cluster).most <= 3
        assert {each[1] for each in store_of(cluster).log[:3]} == {0, 1, 2}

    in_loop(main)


def test_a_batch_that_cannot_be_prepared_costs_no_thread(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        engine = cluster["a"].engine
        with monkeypatch.context() as patch:
            patch.setattr(engine, "batch", lambda *_, **__: 1 / 0)
            for _ in range(Threaded.most_threads):
                with pytest.raises(ZeroDivisionError):
                    await cluster.on("a").incr("n")
        async with asyncio.timeout(LONG):
            assert await cluster.on("a").incr("n") == 1

    in_loop(main)


def test_a_thread_that_outlives_its_loop_makes_no_noise_and_lets_go_of_its_connection(
    cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(cluster.hold("n"))
        await until_async(lambda: store_of(cluster).holding)
        await given_up(task)

    in_loop(main)
    store_of(cluster).going.set()
    asyncio.run(until_async(lambda: cluster["a"].engine.told == ["aborted", "closed"]))
    assert caplog.records == []

    async def again() -> list[Any]:
        return await asyncio.gather(*(cluster.incr("n") for _ in range(10)))

    assert sorted(in_loop(again)) == [*range(1, 11)]


def test_a_cancelled_thread_does_not_delay_the_end_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """if True:
        import asyncio, threading
        from nydus_core import BaseEngine, ThreadedEngine, create_async_cluster

        held = threading.Event()

        class Slow(BaseEngine):
            def connect(self):
                return self
            def hold(self):
                print("held", flush=True)
                held.set()
                threading.Event().wait(3600)

        class AsyncSlow(ThreadedEngine):
            sync_side = Slow

        async def main():
            cluster = create_async_cluster({"engine": AsyncSlow, "hosts": [{}]})
            task = asyncio.ensure_future(cluster.hold())
            while not held.is_set():
                await asyncio.sleep(0.005)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("given up")

        asyncio.run(main())
        """
    )
    ended = subprocess.run([sys.executable, program], check=False, capture_output=True, text=True, timeout=50)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("held\ngiven up\n", "", 0)


def test_hosts_that_leave_are_disconnected_in_a_thread(cluster: Any) -> None:
    async def main() -> None:
        engine = cluster["a"].engine
        engine.leaving.clear()
        assert await cluster.incr("n") == 1
        cluster.add_host("b", {})
        cluster.remove_host("a")  # it would block the loop here
        assert engine.store.open
        engine.leaving.set()
        await until_async(lambda: not engine.store.open)
        assert await cluster.incr("n") == 1  # on host b

    in_loop(main)


def test_probing_and_closing_are_done_in_threads_and_raise_what_the_engine_does() -> None:
    async def main() -> None:
        hosts = {"a": {"down": True}}
        cluster: Any = create_async_cluster({"engine": BlockingMemory, "hosts": hosts})
        with pytest.raises(ConnectionRefusedError):
            await cluster["a"].probe()
        with pytest.raises(NotImplementedError, match="flush"):
            await cluster["a"].flush()
        cluster["a"].engine.down = False
        await cluster["a"].probe()
        client = cluster["a"].engine.connection
        await cluster.aclose()
        assert not client.open
        assert await cluster.who() == "a"

    in_loop(main)


class Addressed(MemoryEngine):
    """A host with an address, of whose options and abilities the settings make use."""

    supports_transactions = True
    supports_flush = True
    url_schemes = ("memory",)
    countable = True

    def __init__(self, num: Any, host: str = "localhost", port: int = 1) -> None:
        super().__init__(num)
        self.host, self.port = host, port

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        return {"host": url.removeprefix("memory://")}

    @property
    def identifier(self) -> str:
        return f"memory://{self.host}:{self.port}"


class AddressedThreaded(ThreadedEngine):
    sync_side = Addressed


Addressed.async_side = AddressedThreaded


@pytest.mark.parametrize(
    "settings",
    [
        {"router": "libketama", "hosts": [{"host": "one"}, {"host": "two", "port": 2}, {"host": "six"}]},
        {"router": "consistent", "hosts": ["memory://one", "memory://two"], "on_readmit": "flush"},
        {"hosts": 3},
    ],
)
@pytest.mark.filterwarnings("ignore::nydus_core.SettingsWarning")  # three hosts of one address
def test_what_settings_and_routers_ask_of_a_host_is_answered_as_on_the_blocking_side(
    settings: dict[str, Any],
) -> None:
    blocking, threaded = (
        create({"engine": Addressed, **settings}) for create in (create_cluster, create_async_cluster)
    )
    assert type(threaded[0]) is AddressedThreaded
    assert [engine.identifier for engine in threaded.hosts.values()] == [
        engine.identifier for engine in blocking.hosts.values()
    ]
    for number in range(50):
        assert threaded.explain("get", number).parts == blocking.explain("get", number).parts
    threaded.map(transaction=True)


def test_a_side_has_to_name_the_class_of_the_other() -> None:
    with pytest.raises(TypeError, match="Nameless has to name the class of the blocking engine as sync_side"):

        class Nameless(ThreadedEngine):
            sync_side = "engines.MemoryEngine"


def test_what_fails_at_the_end_of_a_job_keeps_nobody_waiting() -> None:
    async def main() -> None:
        ended: list[int] = []

        def fail() -> None:
            raise OSError("it clings")

        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        job = Job(lambda: 5)
        job.at_end(lambda: ended.append(1))
        job.at_end(fail)
        assert job.start()
        assert await asyncio.wait_for(_value(job), 10) == 5
        assert ended == [1]
        assert str(complaints[0]["exception"]) == "it clings"

    in_loop(main)


async def _value(job: Job[int]) -> int:
    return await job
