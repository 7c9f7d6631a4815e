"""Interrupts that find the main thread where a test wants it: a signal at a known moment, or an exception at a known step."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from waiting import until

__all__ = ["Interrupts", "interrupted_when"]


@contextmanager
def interrupted_when(
    true: Callable[[], object], handler: Callable[..., object] = signal.default_int_handler
) -> Iterator[None]:
    """Have the main thread interrupted, once, when a condition holds. The block has to be still at work by then.

    Parameters:
        true: The condition. It is asked by another thread.
        handler: The handler of the signal. It raises what the block is to end with.
    """

    over, raised = threading.Event(), threading.Event()

    def once(*args: Any) -> None:
        if not raised.is_set():
            raised.set()
            handler(*args)

    def interrupt() -> None:
        until(true)
        main = threading.main_thread().ident
        assert main is not None
        # Again and again: one that comes just before a system call that waits is not looked at until that returns
        while not (raised.is_set() or over.is_set()):
            signal.pthread_kill(main, signal.SIGALRM)
            over.wait(0.01)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGALRM, once)
    try:
        thread.start()
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGALRM, before)


class Interrupts:
    """Raises KeyboardInterrupt in this thread, for the time of a block, at one step of the interpreter within some modules.

    Parameters:
        step: The number of the step, from 0 on.
        modules: The beginnings of the names of the modules.

    Attributes:
        struck: Whether the step was reached.
    """

    def __init__(self, step: int, *modules: str) -> None:
        self._left = step
        self._modules = modules
        self.struck = False

    def __enter__(self) -> Interrupts:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: Any, event: str, _: object) -> Any:
        if not frame.f_globals.get("__name__", "").startswith(self._modules):
            return None
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: Any, event: str, _: object) -> Any:
        if event == "opcode" and not self.struck:
            self._left -= 1
            if self._left < 0:
                self.struck = True
                raise KeyboardInterrupt
        return self._step
