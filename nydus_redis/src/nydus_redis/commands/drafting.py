"""How a ``map()`` block queues calls: as drafts where a draft can tell all, else as commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.cluster import EventualCommand
from nydus_core.drafts import Drafts
from nydus_redis.commands.arguments import LARGE
from nydus_redis.commands.wire import Wire

__all__ = ["PLAINLY", "DraftingSurface"]


def _drafting(wire: Wire, queue: Drafts) -> Callable[..., Any]:
    """Return the ``execute_command`` of the surface of a block.

    Parameters:
        wire: The maker of commands.
        queue: The queue of the block.
    """
    describe, add, keep, forms, one_key = wire.describe, queue.add, queue.keep, wire.forms, wire.one_key
    if not HIREDIS_AVAILABLE:  # the bytes may then depend on the options of the host
        return lambda *args, **options: add(describe(args, options))

    def execute_command(*args: Any, **options: Any) -> Any:
        # The option that may stand beside are the keys, which the table knows
        if (
            len(args) > 1
            and type(args[0]) is str
            and (not options or (len(options) == 1 and "keys" in options))
        ):
            form, kind = forms[args[0]] or one_key.get((args[0], len(args))), type(args[1])
            if form is not None and (kind is str or kind is bytes):
                is_ascii = True
                for arg in args[1:]:
                    kind = type(arg)
                    if kind is str:
                        is_ascii = is_ascii and arg.isascii()
                    elif not (kind is bytes or kind is float or (kind is int and -LARGE < arg < LARGE)):
                        break
                else:
                    # A text that has no UTF-8 is refused now, not at the end of the block
                    promise = EventualCommand(args if is_ascii else _encoded(args), form)
                    if queue.state:
                        raise queue.too_late(form.command(args))
                    keep(promise)
                    return promise
        return add(describe(args, options))

    return execute_command


def _encoded(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the words of a command, all text but the name as UTF-8."""
    return args[0], *[arg.encode() if type(arg) is str else arg for arg in args[1:]]


#: Methods of redis-py that send their arguments as they are: the name of the command, how many arguments there are in a call
#: without options, and the word that is sent after them, if there is one.
PLAINLY: dict[str, tuple[Any, ...]] = {
    **{
        name.lower(): (name, 1)
        for name in ("GET", "TTL", "EXISTS", "UNLINK", "TOUCH", "LLEN", "LPOP", "RPOP")
    },
    **{name.lower(): (name, 1) for name in ("HGETALL", "HLEN", "SMEMBERS", "SCARD", "ZCARD")},
    **{
        name.lower(): (name, 2)
        for name in ("SET", "EXPIRE", "HGET", "HDEL", "LPUSH", "RPUSH", "SADD", "SREM")
    },
    **{name.lower(): (name, 2) for name in ("SISMEMBER", "ZSCORE", "ZREM")},
    **{name.lower(): (name, 3) for name in ("HSET", "HINCRBY", "LRANGE")},
    "delete": ("DEL", 1),
    "incr": ("INCRBY", 1, 1),
    "decr": ("DECRBY", 1, 1),
}


class DraftingSurface:
    """The surface of a block, with all methods of a client of redis-py.

    The methods that programs queue most are short ways to a draft, past redis-py: a frame of Python more or less is felt. They
    are made as they are asked for, since a block is often small.

    Parameters:
        client: The client. Its ``execute_command`` is replaced by one that queues.
        wire: The maker of commands.
        queue: The queue of the block.
    """

    def __init__(self, client: Any, wire: Wire, queue: Drafts) -> None:
        self._client, self._wire, self._queue = client, wire, queue
        client.execute_command = _drafting(wire, queue)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return self._plainly(method, *PLAINLY[name]) if name in PLAINLY and HIREDIS_AVAILABLE else method

    def _plainly(self, redis_py: Callable[..., Any], name: str, count: int, last: int | None = None) -> Any:
        form = self._wire.forms[name] or self._wire.one_key[name, 1 + count]
        queue, keep = self._queue, self._queue.keep

        # For each number of arguments written out: a loop over them would take as long as the rest

        def one(*args: Any, **options: Any) -> Any:
            if len(args) == 1 and not options and not queue.state:
                (key,) = args
                kind = type(key)
                if (kind is str and key.isascii()) or kind is bytes:
                    promise = EventualCommand((name, key) if last is None else (name, key, last), form)
                    keep(promise)
                    return promise
            return redis_py(*args, **options)

        def two(*args: Any, **options: Any) -> Any:
            if len(args) == 2 and not options and not queue.state:
                key, word = args
                kind = type(key)
                if (kind is str and key.isascii()) or kind is bytes:
                    kind = type(word)
                    if (
                        (kind is str and word.isascii())
                        or kind is bytes
                        or (kind is int and -LARGE < word < LARGE)
                    ):
                        promise = EventualCommand((name, key, word), form)
                        keep(promise)
                        return promise
            return redis_py(*args, **options)

        def three(*args: Any, **options: Any) -> Any:
            if len(args) == 3 and not options and not queue.state:
                key, word, other = args
                kind = type(key)
                if (kind is str and key.isascii()) or kind is bytes:
                    kind = type(word)
                    if (
                        (kind is str and word.isascii())
                        or kind is bytes
                        or (kind is int and -LARGE < word < LARGE)
                    ):
                        kind = type(other)
                        if (
                            (kind is str and other.isascii())
                            or kind is bytes
                            or (kind is int and -LARGE < other < LARGE)
                        ):
                            promise = EventualCommand((name, key, word, other), form)
                            keep(promise)
                            return promise
            return redis_py(*args, **options)

        return (one, two, three)[count - 1]
