"""How a ``map()`` block queues calls: as drafts where a draft can tell all, else as commands.

The functions stand in the place of redis-py's methods on the surface of a block, where a frame of Python more or less is felt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.cluster import EventualCommand
from nydus_core.drafts import Drafts
from nydus_redis.commands.arguments import LARGE
from nydus_redis.commands.command import CommandForm
from nydus_redis.commands.wire import Wire

__all__ = ["drafting_methods"]


def drafting_methods(wire: Wire, queue: Drafts, surface: Any) -> dict[str, Callable[..., Any]]:
    """Return the methods of the surface of a block that queue in another way than redis-py would, by their names.

    Parameters:
        wire: The maker of commands.
        queue: The queue of the block.
        surface: The surface, with redis-py's methods.
    """
    describe, forms, add, keep = wire.describe, wire.forms, queue.add, queue.keep
    if not HIREDIS_AVAILABLE:  # the bytes may then depend on the options of the host
        return {"execute_command": lambda *args, **options: add(describe(args, options))}

    def execute_command(*args: Any, **options: Any) -> Any:
        # The option that may stand beside are the keys, which the table knows
        if (
            len(args) > 1
            and type(args[0]) is str
            and (not options or (len(options) == 1 and "keys" in options))
        ):
            form, kind = forms[args[0]], type(args[1])
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

    # The same for what programs queue most, in calls without options

    get_form, set_form, incr_form = cast("list[CommandForm]", [forms["GET"], forms["SET"], forms["INCRBY"]])
    redis_py_set = surface.set

    def get(name: Any) -> Any:
        kind = type(name)
        if ((kind is str and name.isascii()) or kind is bytes) and not queue.state:
            promise = EventualCommand(("GET", name), get_form)
            keep(promise)
            return promise
        return execute_command("GET", name)

    def set(*args: Any, **options: Any) -> Any:
        if len(args) != 2 or options:
            return redis_py_set(*args, **options)
        name, value = args
        kind = type(name)
        if ((kind is str and name.isascii()) or kind is bytes) and not queue.state:
            kind = type(value)
            if (kind is str and value.isascii()) or kind is bytes or (kind is int and -LARGE < value < LARGE):
                promise = EventualCommand(("SET", name, value), set_form)
                keep(promise)
                return promise
        return execute_command("SET", name, value)

    def incrby(name: Any, amount: Any = 1) -> Any:
        kind = type(name)
        if ((kind is str and name.isascii()) or kind is bytes) and not queue.state:
            kind = type(amount)
            if kind is int and -LARGE < amount < LARGE:
                promise = EventualCommand(("INCRBY", name, amount), incr_form)
                keep(promise)
                return promise
        return execute_command("INCRBY", name, amount)

    get.__qualname__, set.__qualname__, incrby.__qualname__ = "get", "set", "incrby"
    return {"execute_command": execute_command, "get": get, "set": set, "incr": incrby, "incrby": incrby}


def _encoded(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the words of a command, all text but the name as UTF-8."""
    return args[0], *[arg.encode() if type(arg) is str else arg for arg in args[1:]]
