"""New beginnings: after a fork, and when gevent has replaced the threads of Python."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import Any, Protocol

from nydus_core.errors import ConfigError

__all__ = ["Renewable", "era", "refuse_eventlet", "renew_after_fork"]


class Renewable(Protocol):
    """An object with locks, connections or alarms that are of no use after a fork."""

    def after_fork(self) -> None:
        """Become usable in a child process, where no thread of the parent runs."""
        ...


_renewable: weakref.WeakSet[Renewable] = weakref.WeakSet()
_process = object()


def renew_after_fork(thing: Renewable) -> None:
    """Have ``thing.after_fork()`` called at the start of child processes, as long as ``thing`` is in use."""
    _renewable.add(thing)


def era() -> tuple[object, object]:
    """Return a value that stays equal as long as locks and threads stay usable.

    It changes in a child process, and when gevent replaces the functions of ``threading``: a lock from before
    stops the whole process when a greenlet waits for it, and nobody rings an alarm.
    """
    return _process, threading.Lock


def refuse_eventlet() -> None:
    """Refuse a program whose sockets and threads eventlet has replaced.

    It takes ``select.poll`` away, by which connections are examined: calls to healthy hosts fail.

    Raises:
        ConfigError: It is such a program.
    """
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("socket"):
        raise ConfigError(
            "eventlet has replaced the sockets of this program, and Nydus does not work with it: eventlet takes away "
            "select.poll, by which connections are examined, and hosts that are well would be taken for down. Use gevent, "
            "threads or asyncio"
        )


def _after_fork() -> None:
    """Begin anew in a child process: the fork has copied the objects, but not the threads."""
    global _process
    _process = object()
    for thing in list(_renewable):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
