"""Iteration over the members of one key: a hash, a set or a sorted set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nydus_redis.errors import RoutingError
from nydus_redis.surface.scanning import Asking, Iteration, Scanning

__all__ = ["KeyScan", "KeyScanBase"]


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


class KeyScan(KeyScanBase, Iteration):
    """An iterator over the members of a key; see ``cluster.hscan_iter``."""
