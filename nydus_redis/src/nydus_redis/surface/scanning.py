"""Iterations over what servers hold, page by page: what they have in common, and how the blocking ones ask.

A server's cursor only has a meaning for the server process that gave it: after a restart it would pass over keys. So an
iteration knows that process, and a host that was restarted is scanned from its beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, Self, TypeVar

from redis.exceptions import ResponseError

from nydus_core.errors import HostError
from nydus_core.threads import Lock

__all__ = ["Asking", "Iteration", "OneHost", "Question", "Scanning"]

T = TypeVar("T")

#: The next question to a host: a function without arguments. With asyncio its value is awaited.
Question = Callable[[], Any]
#: A generator that yields questions and is sent their answers. Its value is its result.
Asking = Generator[Question, Any, T]


class Scanning:
    """An iteration, without I/O. An error of a host does not change its place: ``next()`` tries again.

    Parameters:
        cluster: The cluster, or ``OneHost``.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._page: deque[Any] = deque()

    def _more(self) -> Asking[bool]:
        """Get the next page with items, if all items of this page were handed out; return False at the end."""
        raise NotImplementedError

    def _process_of(self, host: str) -> Asking[str]:
        """Ask a host for the id of the server process; an empty text where the server does not give it."""
        try:
            info = yield partial(self._cluster.on(host).info, "server")
            return str(info.get("run_id", ""))
        except ResponseError as error:
            if isinstance(error, HostError):
                raise
            return ""


class OneHost:
    """One host, as an iteration sees a cluster.

    Parameters:
        name: The name of the host.
        client: Its client.
    """

    def __init__(self, name: str, client: Any) -> None:
        self.hosts = (name,)
        self._client = client

    def on(self, host: str) -> Any:
        """Return the client of the host."""
        return self._client


class Iteration(Scanning, Iterator[Any]):
    """An iteration that asks hosts by blocking calls."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        # Threads may share the iteration: two that go on at once would pass over a host
        self._asking = Lock("this iteration is asking for its next page")

    def __iter__(self) -> Self:
        return self

    def close(self) -> None:
        """Do nothing: no connection is held between two items. The method is there for ``contextlib.closing``."""

    def __next__(self) -> Any:
        with self._asking.alone():
            return self._next()

    def _next(self) -> Any:
        asking = self._more()
        ask: Callable[[], Question] = partial(next, asking)
        while True:
            try:
                question = ask()
            except StopIteration as end:
                if not end.value:
                    raise StopIteration from None
                return self._page.popleft()
            try:
                ask = partial(asking.send, question())
            except ResponseError as error:
                ask = partial(asking.throw, error)
