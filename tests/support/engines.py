"""Real engines for the core's own tests: each talks to a store, which is a dict in this process.

``Store`` stands for a server together with its client library: it does some commands, answers some with an error
of its own (``Refused``), and can lose the connection before or after it has done one.
"""

from __future__ import annotations

import operator
import threading
import time
from typing import Any

from nydus_core.command import Command
from nydus_core.engines import BaseEngine, BasePipeline
from nydus_core.errors import HostDown, MaybeApplied


class Refused(Exception):
    """The server's own answer: no."""


class Lost(Exception):
    """The client's word for: the connection is gone. Has an attribute, as errors of client libraries do."""

    def __init__(self, message: str, code: int = 7) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """What ``connect()`` returns: a client of a store of its own."""

    def __init__(self, label: str = "", delay: float = 0.0) -> None:
        self.label = label
        self.delay = delay
        self.data: dict[Any, Any] = {}
        self.log: list[tuple[Any, ...]] = []
        self.open = True
        self.admin = Admin(self)

    def _note(self, *call: Any) -> None:
        time.sleep(self.delay)
        self.log.append(call)

    def get(self, key: Any) -> Any:
        self._note("get", key)
        return self.data.get(key)

    def set(self, key: Any, value: Any, *, only_new: bool = False) -> bool:
        self._note("set", key, value)
        if only_new and key in self.data:
            return False
        self.data[key] = value
        return True

    def incr(self, key: Any) -> int:
        self._note("incr", key)
        self.data[key] = self.data.get(key, 0) + 1
        return int(self.data[key])

    def who(self, key: Any = None) -> str:
        self._note("who", key)
        return self.label

    def refuse(self, key: Any = None) -> None:
        self._note("refuse", key)
        raise Refused(f"{self.label} says no")

    def refuse_on(self, label: str) -> str:
        if label == self.label:
            self.refuse()
        return self.label

    def lose(self, key: Any = None) -> None:
        self._note("lose", key)
        raise Lost(f"{self.label} is gone")

    def interrupt(self, key: Any = None) -> None:
        self._note("interrupt", key)
        raise KeyboardInterrupt

    def ping(self) -> str:
        self._note("ping")
        return f"pong from {self.label}"


class Admin:
    """For commands with dots in their names: ``cluster.admin.size()``."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def size(self) -> int:
        return len(self.store.data)

    def drop(self, key: Any) -> bool:
        return self.store.data.pop(key, None) is not None


class MemoryEngine(BaseEngine):
    """Knows nothing but ``connect()`` and ``disconnect()``, and which error means a lost connection."""

    retryable_exceptions = (Lost,)

    def __init__(self, num: Any, *, delay: float = 0.0, down: bool = False) -> None:
        super().__init__(num)
        self.delay = delay
        self.down = down

    def connect(self) -> Store:
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return Store(str(self.num), self.delay)

    def disconnect(self) -> None:
        self.connection.open = False


class PipelinedEngine(MemoryEngine):
    """The same with a pipeline."""

    supports_pipelines = True

    def get_pipeline(self) -> MemoryPipeline:
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return MemoryPipeline(self)


class MemoryPipeline(BasePipeline):
    """Does its commands one after the other, and stops for nothing but a lost connection."""

    def execute(self) -> list[Any]:
        return [self._one(*command.get_command()) for command in self.pending]

    def _one(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return operator.attrgetter(name)(self.connection.connection)(*args, **kwargs)
        except Refused as answer:
            return answer


class SwitchedEngine(MemoryEngine):
    """A host with a switch: while it is ``down``, nothing reaches it; while it is ``deaf``, nothing is answered.

    Attributes:
        probes: How often it was probed.
        probing: What a probe waits for.
    """

    supports_flush = True

    def __init__(self, num: Any, *, down: bool = False) -> None:
        super().__init__(num, down=down)
        self.deaf = False
        self.probes = 0
        self.probing = threading.Event()
        self.probing.set()
        self.flushes = 0

    def call(self, command: Command) -> Any:
        if self.down:
            raise self.failed(HostDown, ConnectionRefusedError(111, "Connection refused"), command)
        value = super().call(command)
        if self.deaf:
            raise self.failed(MaybeApplied, Lost("no answer"), command)
        return value

    def probe(self) -> None:
        self.probes += 1
        self.probing.wait(10)
        if self.down or self.deaf:
            raise ConnectionRefusedError(111, "Connection refused")

    def flush(self) -> None:
        self.flushes += 1
        self.connection.data.clear()
