"""Iteration over the keys of all hosts, one host after the other, and over the members of one key.

A server's cursor only has a meaning for the server process that gave it: after a restart it would pass over keys. So an
iteration knows that process, and a host that was restarted is scanned from its beginning. A text lets another process
continue an iteration over keys.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from threading import Lock
from typing import Any, Self, TypeVar

from redis.exceptions import ResponseError

from nydus_core.command import key_bytes
from nydus_core.errors import HostError
from nydus_redis.errors import RoutingError

__all__ = ["ClusterScan", "KeyScan", "KeyScanBase", "OneHost", "Question", "ScanBase", "Scanning"]

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


class ScanBase(Scanning):
    """An iteration over the keys of all hosts, without I/O: its place, and the next question to a host.

    A key that exists from beginning to end comes up once or more, as with SCAN itself. An error of a host does not change
    the place: ``next()`` tries again.

    Parameters:
        cluster: The cluster.
        match: Only keys that match this pattern.
        count: About how many keys a server looks at for one request.
        kind: Only keys with values of this type, such as ``'string'``.
        cursor: Go on from here.
        options: Further options of redis-py's ``scan``.

    Raises:
        RoutingError: The text is no cursor, or a cursor of other hosts or other options.
    """

    def __init__(
        self,
        cluster: Any,
        match: Any = None,
        count: int | None = None,
        kind: str | None = None,
        cursor: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cluster)
        self._options = {"match": match, "count": count, "_type": kind, **options}
        self._filters = {"match": _shown(match), "type": kind and kind.upper()}
        self._hosts = [str(key) for key in cluster.hosts]
        self._at = 0  # the position of the host
        self._cursor = 0  # the server's cursor of this page
        self._following: int | None = None  # the server's cursor of the next page; None before the answer
        self._process = ""  # the id of the server process
        self._resumed = False
        if cursor is not None:
            self._resume(cursor)

    @property
    def cursor(self) -> str:
        """A text with which another iteration goes on: ``cluster.scan_iter(…, cursor=text)``.

        That iteration repeats the keys of the last answer of a host, so that no key is lost. At the end there are no more keys.
        """
        place = {"hosts": self._hosts, "at": self._at, "cursor": self._cursor, "process": self._process}
        text = json.dumps({**place, **self._filters}, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode()

    def _resume(self, cursor: str) -> None:
        place = _read(cursor)
        began = {name: place[name] for name in self._filters}
        if began != self._filters:
            raise RoutingError(f"this cursor was begun with {began}; found {self._filters}")
        hosts, at = place["hosts"], place["at"]
        if at < len(hosts) and hosts[at] not in self._hosts:
            raise RoutingError(f"this cursor stands at host {hosts[at]!r}, which is gone: begin anew")
        if hosts != self._hosts:
            raise RoutingError(f"this cursor is one of hosts {hosts}; found {self._hosts}: begin anew")
        self._at, self._cursor, self._process = at, place["cursor"], place["process"]
        self._resumed = True

    def _more(self) -> Asking[bool]:
        """Get the next page with keys, if all keys of this page were handed out; return False at the end."""
        while not self._page:
            if self._following is not None:
                yield from self._turn()
            if self._at == len(self._hosts):
                return False
            yield from self._fetch()
        return True

    def _turn(self) -> Asking[None]:
        """Go on to the next page, or to the next host."""
        if self._following:
            self._cursor = self._following
        elif not (yield from self._restarted()):
            self._at, self._cursor, self._process = self._at + 1, 0, ""
        self._following, self._resumed = None, False

    def _fetch(self) -> Asking[None]:
        if not self._process:
            self._process = yield from self._process_of(self._hosts[self._at])
        elif self._resumed:
            yield from self._restarted()
        self._following, keys = yield self._question("scan", cursor=self._cursor, **self._options)
        self._page.extend(keys)

    def _restarted(self) -> Asking[bool]:
        """Tell whether the host was restarted. If so, go back to its beginning."""
        process = yield from self._process_of(self._hosts[self._at])
        if process == self._process:
            return False
        self._process, self._cursor = process, 0
        return True

    def _question(self, name: str, *args: Any, **options: Any) -> Question:
        host = self._cluster.on(self._hosts[self._at])
        return partial(getattr(host, name), *args, **options)


class KeyScanBase(Scanning):
    """An iteration over the members of a hash, a set or a sorted set, without I/O.

    All pages come from one process of one server: the host of the first page. If the server was restarted on the way, the
    iteration begins anew. A member that is there from beginning to end comes up once or more, as with HSCAN itself.

    Parameters:
        cluster: The cluster, or ``OneHost``.
        pages: The client's method that returns a page, such as ``hscan``.
        key: The key.
        items: Makes the items of a page from the server's answer.
        options: Further options of the method.

    Raises:
        HostDown: By ``next()``: the host is down. No other host is asked, for it would not understand the cursor.
        ForeignWordError: By ``next()``: the key has another host now. Begin anew.
        RoutingError: By the first ``next()``: the command went to several hosts, each of which has a cursor of its own.
    """

    def __init__(
        self,
        cluster: Any,
        pages: Callable[..., Any],
        key: Any,
        items: Callable[[Any], Any] = iter,
        **options: Any,
    ) -> None:
        super().__init__(cluster)
        self._pages = partial(pages, key, **options)
        self._later = partial(_page_on, cluster, pages.__name__, key, options)
        self._items = items
        self._cursor: Any = None  # of the next page; None before the first, 0 at the end
        self._process = ""

    def _more(self) -> Asking[bool]:
        while not self._page:
            if self._cursor == 0:
                return False
            yield from self._fetch()
        return True

    def _fetch(self) -> Asking[None]:
        if self._cursor is None:
            following, page = yield from self._first()
        else:
            host = self._cursor.host
            following, page = yield partial(self._pages, cursor=self._cursor)
            if not following and (yield from self._process_of(host)) != self._process:
                following = None  # its cursors came from two processes: begin anew
        self._page.extend(self._items(page))
        self._cursor = following

    def _first(self) -> Asking[Any]:
        """Return the first page. Where others follow, the process is known before it is asked for that page."""
        answer = yield partial(self._pages, cursor=0)
        if isinstance(answer, list):
            raise RoutingError("several hosts answered, each with a cursor of its own: use cluster.on(host)")
        following, page = answer
        if following:
            self._process = yield from self._process_of(following.host)
            following, page = yield partial(self._later, following.host)
        return following, page


def _page_on(cluster: Any, name: str, key: Any, options: dict[str, Any], host: str) -> Any:
    """Return the first page of a key from a host."""
    return getattr(cluster.on(host), name)(key, cursor=0, **options)


class _Iteration(Scanning, Iterator[Any]):
    """An iteration that asks hosts by blocking calls."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self._asking = (
            Lock()
        )  # threads may share the iteration: two that go on at once would pass over a host

    def __iter__(self) -> Self:
        return self

    def close(self) -> None:
        """Do nothing: no connection is held between two items. The method is there for ``contextlib.closing``."""

    def __next__(self) -> Any:
        with self._asking:
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


class ClusterScan(ScanBase, _Iteration):
    """An iterator over the keys of all hosts; see ``cluster.scan_iter``."""


class KeyScan(KeyScanBase, _Iteration):
    """An iterator over the members of a key; see ``cluster.hscan_iter``."""


def _shown(match: Any) -> str | None:
    return None if match is None else key_bytes(match).decode("latin-1")


def _read(cursor: str) -> dict[str, Any]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor))
        hosts, at, number = place["hosts"], place["at"], place["cursor"]
        if not (isinstance(hosts, list) and 0 <= int(at) <= len(hosts) and int(number) >= 0):
            raise ValueError("out of range")
        return {"process": "", "match": None, "type": None, **place}
    except (ValueError, TypeError, KeyError, binascii.Error):
        raise RoutingError(
            "found a text that is no cursor; expected .cursor of a cluster.scan_iter()"
        ) from None
