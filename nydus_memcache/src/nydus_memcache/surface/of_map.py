"""The methods that users call in a ``map()`` block: they queue drafts where a draft can tell all, else commands."""

from __future__ import annotations

from typing import Any

from nydus_core.cluster import EventualCommand
from nydus_core.drafts import Drafts
from nydus_memcache.commands import Key, Wire
from nydus_memcache.surface.blocking import Surface

__all__ = ["MapSurface"]


class MapSurface(Surface):
    """The commands of memcached, queued. See ``nydus_core.drafts``.

    A call is a draft if it has one key, of plain text or bytes, and the server answers it. Any other call is a command.

    Parameters:
        queue: The queue of the block.
        wire: Makes the commands.
    """

    def __init__(self, queue: Drafts, wire: Wire) -> None:
        super().__init__(queue.add, wire)
        self._queue = queue
        # In the place of the methods of these names, for a program calls them most: here no attributes are looked up, which
        # takes long in a class with ``__getattr__``
        vars(self).update(_most_called(self, queue, wire))

    def _fetch(self, name: str, key: Key, default: Any) -> Any:
        if not self._wire.takes(key) or self._queue.state:
            return super()._fetch(name, key, default)
        return self._draft(name, key, default)

    def _store(
        self, name: str, key: Key, value: Any, expire: int, noreply: bool | None, flags: int | None
    ) -> Any:
        wire = self._wire
        if noreply or self._queue.state or (type(key) is not str and type(key) is not bytes):
            return super()._store(name, key, value, expire, noreply, flags)
        _, wire_key = wire.key(key)
        return self._draft(name, key, *wire.line(wire_key, value, expire, flags))

    def _keyed(self, name: str, key: Key, noreply: bool | None, number: bytes = b"") -> Any:
        if noreply or not self._wire.takes(key) or self._queue.state:
            return super()._keyed(name, key, noreply, number)
        return self._draft(name, key, number)

    def _draft(self, *words: Any) -> EventualCommand:
        promise = EventualCommand(words, self._wire.forms[words[0]])
        self._queue.keep(promise)
        return promise


def _most_called(surface: MapSurface, queue: Drafts, wire: Wire) -> dict[str, Any]:
    """Return ``get`` and ``set`` of a block."""
    keep, takes, leaves_bytes = queue.keep, wire.takes, wire.leaves_bytes
    get_form, set_form = wire.forms["get"], wire.forms["set"]
    fetch, store = surface._fetch, surface._store  # pyright: ignore[reportPrivateUsage]

    def get(key: Key, default: Any = None) -> Any:
        if takes(key) and not queue.state:
            promise = EventualCommand(("get", key, default), get_form)
            keep(promise)
            return promise
        return fetch("get", key, default)

    def set(
        key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        if (
            leaves_bytes
            and type(value) is bytes
            and type(expire) is int
            and not expire
            and not noreply
            and flags is None
            and takes(key)
            and not queue.state
        ):
            promise = EventualCommand(("set", key, value, b" 0 0"), set_form)
            keep(promise)
            return promise
        return store("set", key, value, expire, noreply, flags)

    for method in (get, set):
        method.__qualname__, method.__doc__ = method.__name__, getattr(Surface, method.__name__).__doc__
    return {"get": get, "set": set}
