"""A queue of drafts, for tests of engines' surfaces without a cluster."""

from __future__ import annotations

from typing import Any

from nydus_core import EventualCommand, NydusError

__all__ = ["Queue"]


class Queue:
    """Takes drafts and commands, as a ``map()`` block does."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.keep = self.kept.append
        self.state = ""

    def add(self, command: Any) -> EventualCommand:
        """Queue a command."""
        promise = EventualCommand(command)
        self.keep(promise)
        return promise

    def too_late(self, command: Any) -> Exception:
        """Return the error for a command after the end."""
        return NydusError(f"{command!r} comes too late")
