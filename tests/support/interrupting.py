"""A signal that comes at a known moment, and finds the main thread where the test wants it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from waiting import until

__all__ = ["interrupted_when"]


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
