"""The methods that users call: those of ``pymemcache.Client``, each of which ends in ``dispatch`` instead of a socket.

``noreply`` is off unless a call asks for it. pymemcache has it on, and so returns True also for a value that the server
refused. With ``noreply=True`` a command counts as done when the socket has taken its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from nydus_core.command import Dispatch
from nydus_core.engines import named_as_called
from nydus_core.wording import nearest
from nydus_memcache.commands import Key, Shutdown, Wire, count, expiry

__all__ = ["Surface", "no_such_command"]


@named_as_called
class Surface:
    """The commands of memcached.

    Keys are ASCII text or bytes without white space and control characters, at most 250 bytes with the prefix;
    anything else raises ``IllegalKey``, and nothing is sent. ``expire`` is in seconds: 0 for never, over 30 days a
    Unix time.

    Parameters:
        dispatch: Called with each command; its return value is the value of the method.
        wire: Makes the commands.
    """

    def __init__(self, dispatch: Dispatch, wire: Wire) -> None:
        self._dispatch = dispatch
        self._wire = wire

    # Read ------------------------------------------------------------------------------------------------------

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or ``default``."""
        return self._dispatch(self._wire.fetch("get", b"get", key, default))

    def gets(self, key: Key, default: Any = None, cas_default: Any = None) -> Any:
        """Return the value of a key and its token for ``cas``, or the pair of the defaults."""
        return self._fetch("gets", key, (default, cas_default))

    def get_many(self, keys: Iterable[Key]) -> Any:
        """Return a dict of the values found, by the keys as they were given."""
        return self._dispatch(self._wire.fetch_many("get_many", b"get", keys))

    def gets_many(self, keys: Iterable[Key]) -> Any:
        """Return a dict of the values found, each with its token for ``cas``."""
        return self._dispatch(self._wire.fetch_many("gets_many", b"gets", keys))

    # Write -----------------------------------------------------------------------------------------------------

    def set(
        self, key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        """Store a value; return True. ``flags`` replace the flags of the serde."""
        return self._dispatch(self._wire.store("set", key, value, expire, noreply, flags))

    def add(
        self, key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        """Store a value where there is none; return whether the value was stored."""
        return self._store("add", key, value, expire, noreply, flags)

    def replace(
        self, key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        """Store a value where there is one; return whether the value was stored."""
        return self._store("replace", key, value, expire, noreply, flags)

    def append(
        self, key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        """Put bytes behind an existing value; return whether there was a value."""
        return self._store("append", key, value, expire, noreply, flags)

    def prepend(
        self, key: Key, value: Any, expire: int = 0, noreply: bool | None = None, flags: int | None = None
    ) -> Any:
        """Put bytes before an existing value; return whether there was a value."""
        return self._store("prepend", key, value, expire, noreply, flags)

    def cas(
        self,
        key: Key,
        value: Any,
        cas: int | str | bytes,
        expire: int = 0,
        noreply: bool | None = False,
        flags: int | None = None,
    ) -> Any:
        """Store a value unless it was changed since ``gets`` gave the token: True; False if changed, None if gone."""
        return self._dispatch(self._wire.cas(key, value, cas, expire, noreply, flags))

    def set_many(
        self,
        values: Mapping[Key, Any],
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
    ) -> Any:
        """Store many values; return the keys that were not stored."""
        return self._dispatch(self._wire.store_many(values, expire, noreply, flags))

    def incr(self, key: Key, value: int = 1, noreply: bool | None = False) -> Any:
        """Add to a number; return the new number, None if there is none."""
        return self._keyed("incr", key, noreply, count("value", value))

    def decr(self, key: Key, value: int = 1, noreply: bool | None = False) -> Any:
        """Subtract from a number, down to 0; return the new number, None if there is none."""
        return self._keyed("decr", key, noreply, count("value", value))

    def touch(self, key: Key, expire: int = 0, noreply: bool | None = None) -> Any:
        """Set when a value expires; return whether there is a value."""
        return self._keyed("touch", key, noreply, expiry(expire))

    def delete(self, key: Key, noreply: bool | None = None) -> Any:
        """Delete a value; return whether there was a value."""
        return self._keyed("delete", key, noreply)

    def delete_many(self, keys: Iterable[Key], noreply: bool | None = None) -> Any:
        """Delete many values; return True."""
        return self._dispatch(self._wire.delete_many(keys, noreply))

    get_multi = get_many
    set_multi = set_many
    delete_multi = delete_many

    # Commands with one key. ``get`` and ``set``, which are called most, take a shorter way

    def _fetch(self, name: str, key: Key, default: Any) -> Any:
        return self._dispatch(self._wire.fetch(name, name.encode(), key, default))

    def _store(
        self, name: str, key: Key, value: Any, expire: int, noreply: bool | None, flags: int | None
    ) -> Any:
        return self._dispatch(self._wire.store(name, key, value, expire, noreply, flags))

    def _keyed(self, name: str, key: Key, noreply: bool | None, number: bytes = b"") -> Any:
        return self._dispatch(self._wire.keyed(name, key, noreply, number))

    # Whole servers: all hosts, a list of answers in host order ---------------------------------------------------

    def stats(self, *args: Key) -> Any:
        """Return a server's statistics as a dict."""
        return self._dispatch(self._wire.stats(args))

    def version(self) -> Any:
        """Return a server's version."""
        return self._dispatch(self._wire.keyless("version"))

    def flush_all(self, delay: int = 0, noreply: bool | None = None) -> Any:
        """Delete everything, after ``delay`` seconds; return True."""
        return self._dispatch(self._wire.keyless("flush_all", noreply, count("delay", delay)))

    def cache_memlimit(self, memlimit: int) -> Any:
        """Set how much memory a server may use for values, in megabytes; return True."""
        return self._dispatch(self._wire.keyless("cache_memlimit", None, count("memlimit", memlimit)))

    def quit(self) -> Any:
        """Have a server close a connection."""
        return self._dispatch(Shutdown("quit", b"quit", (), (), b"quit\r\n"))

    def shutdown(self, graceful: bool = False) -> Any:
        """Have a server end, if it was started with ``--enable-shutdown``."""
        line = b"shutdown graceful\r\n" if graceful else b"shutdown\r\n"
        return self._dispatch(Shutdown("shutdown", b"shutdown", (), (), line))

    def raw_command(self, command: Key, end_tokens: Key = b"\r\n", *, key: Key | None = None) -> Any:
        """Send any command; return its answer, up to ``end_tokens``.

        Only the caller knows where the answer ends, so the connection is closed afterwards.

        Parameters:
            command: The command, without the end of the line.
            end_tokens: The bytes that end the answer.
            key: The key by which a host is chosen, without the prefix. The bytes of ``command`` must have the prefix.
        """
        return self._dispatch(self._wire.raw(command, end_tokens, key))

    def __getattr__(self, name: str) -> NoReturn:
        raise no_such_command(name, self)


def no_such_command(name: str, surface: Any) -> AttributeError:
    """Make the error for an attribute that no surface has."""
    known = [each for each in dir(Surface) if not each.startswith("_")]
    return AttributeError(f"memcached has no command {name!r}{nearest(name, known)}", name=name, obj=surface)
