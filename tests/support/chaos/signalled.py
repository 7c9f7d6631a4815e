"""Signals to the main thread while it calls: handlers that call the same cluster, and Ctrl-C at any moment of a call."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from chaos.schedule import Signal

__all__ = ["HANGS", "Interrupts"]

#: Seconds after which the main thread is taken for one that hangs.
HANGS = 30.0
_CALL, _INTERRUPT = signal.SIGUSR1, signal.SIGUSR2


class _Hang(BaseException):
    """Frees a main thread that hangs."""


class Interrupts:
    """Sends signals to the main thread, and takes them there.

    Parameters:
        handle: What a handler does, other than to interrupt.

    Attributes:
        struck: How many calls were interrupted.
    """

    def __init__(self, handle: Callable[[], None]) -> None:
        self.struck = 0
        self._handle = handle
        self._allowed = False
        self._hangs = False
        self._hang: list[str] = []

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """In this block an interrupt may strike, once; in the main thread only, where signals are taken."""
        outer = self._allowed
        mine = threading.current_thread() is threading.main_thread()
        try:
            if mine:
                self._allowed = True
            yield
        finally:
            if mine:
                self._allowed = outer

    @contextmanager
    def taken(self, signals: Sequence[Signal], start: float) -> Iterator[list[str]]:
        """Send signals during this block, which the main thread runs, and end it if it hangs.

        Parameters:
            signals: The signals, in order.
            start: When they begin, on the clock of ``time.monotonic``.

        Returns:
            Where the thread was, if it hung, else nothing.
        """
        over = threading.Event()
        before = [
            signal.signal(_CALL, lambda number, frame: self._called()),
            signal.signal(_INTERRUPT, lambda number, frame: self._interrupted()),
        ]
        sender = threading.Thread(
            target=self._send, args=(signals, start, over), name="chaos-signals", daemon=True
        )
        try:
            sender.start()
            with suppress(_Hang):
                yield self._hang
        finally:
            over.set()
            sender.join()
            for number, handler in zip((_CALL, _INTERRUPT), before, strict=True):
                signal.signal(number, handler)

    def _send(self, signals: Sequence[Signal], start: float, over: threading.Event) -> None:
        main = threading.main_thread().ident
        assert main is not None
        for each in signals:
            if over.wait(max(0.0, start + each.start - time.monotonic())):
                return
            signal.pthread_kill(main, _CALL if each.kind == "call" else _INTERRUPT)
        if not over.wait(HANGS):
            self._hang.append("".join(traceback.format_stack(sys._current_frames()[main])))
            self._hangs = True
            while not over.wait(0.2):
                signal.pthread_kill(main, _INTERRUPT)

    def _called(self) -> None:
        with suppress(_Hang):
            self._handle()

    def _interrupted(self) -> None:
        if self._hangs:
            raise _Hang
        if self._allowed:
            self._allowed = False
            self.struck += 1
            raise KeyboardInterrupt
