"""Iteration over the keys of all hosts, one host after the other. A text lets another process continue it."""

from __future__ import annotations

import base64
import binascii
import json
from functools import partial
from typing import Any

from nydus_core.command import key_bytes
from nydus_redis.errors import RoutingError
from nydus_redis.surface.scanning import Asking, Iteration, Question, Scanning

__all__ = ["ClusterScan", "ScanBase"]


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


class ClusterScan(ScanBase, Iteration):
    """An iterator over the keys of all hosts; see ``cluster.scan_iter``."""


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
