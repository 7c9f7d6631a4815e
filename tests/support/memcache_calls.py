"""Calls of every command of memcached, and the bytes that pymemcache sends for a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NoReturn

from pymemcache.client.base import Client
from pymemcache.serde import pickle_serde

__all__ = ["CALLS", "sent_by_pymemcache"]


class Recorder:
    """A socket that keeps what is sent, and has no answers."""

    sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int) -> NoReturn:
        raise EOFError

    def close(self) -> None:
        pass


def sent_by_pymemcache(call: Callable[[Any], Any], **options: Any) -> bytes:
    client = Client("/nowhere", **{"serde": pickle_serde, "default_noreply": False, **options})
    client.sock = recorder = Recorder()
    with contextlib.suppress(EOFError):
        call(client)
    return recorder.sent


CALLS: list[Callable[[Any], Any]] = [
    lambda c: c.get("k"),
    lambda c: c.get(b"\xff\x80", 7),
    lambda c: c.gets(key="k", default=1, cas_default=2),
    lambda c: c.get_many(["a", b"b", "c"]),
    lambda c: c.get_multi(["a"]),
    lambda c: c.get_many([]),
    lambda c: c.gets_many(keys=("a", "b")),
    lambda c: c.set("k", b"v"),
    lambda c: c.set("k", b"a\r\nb", 60),
    lambda c: c.set(key="k", value="grüße", expire=60),
    lambda c: c.set("k", -12),
    lambda c: c.set("k", b"v", noreply=True),
    lambda c: c.set("k", b"v", flags=77),
    lambda c: c.set("k", b"v", expire=-1),
    lambda c: c.add("k", "v", 3),
    lambda c: c.replace("k", 10**30),
    lambda c: c.append("k", b"v"),
    lambda c: c.prepend("k", b"v"),
    lambda c: c.cas("k", b"v", b"12"),
    lambda c: c.cas("k", b"v", "12", 30),
    lambda c: c.cas("k", b"v", cas=2**64 - 1, noreply=True, flags=1),
    lambda c: c.set_many({"a": b"1", b"b": "2"}),
    lambda c: c.set_multi(values={"a": 1}, expire=5, flags=3),
    lambda c: c.set_many({}),
    lambda c: c.delete("k"),
    lambda c: c.delete("k", noreply=True),
    lambda c: c.delete_many(["a", "b", "a"]),
    lambda c: c.delete_multi([]),
    lambda c: c.incr("k", 2**64 - 1),
    lambda c: c.decr("k", value=3, noreply=True),
    lambda c: c.touch("k"),
    lambda c: c.touch("k", 100, True),
    lambda c: c.stats(),
    lambda c: c.stats("items"),
    lambda c: c.stats("cachedump", "1", "10"),
    lambda c: c.version(),
    lambda c: c.flush_all(),
    lambda c: c.flush_all(delay=5, noreply=True),
    lambda c: c.cache_memlimit(100),
    lambda c: c.raw_command("mg k v"),
    lambda c: c.raw_command(b"stats detail dump", b"END\r\n"),
    lambda c: c.quit(),
    lambda c: c.shutdown(),
    lambda c: c.shutdown(graceful=True),
]
