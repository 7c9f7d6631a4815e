"""A signal that comes at a known moment, and finds the main thread where the test wants it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    def interrupt() -> None:
        until(true)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGALRM)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        thread.start()
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)
