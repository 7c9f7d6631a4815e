"""The queue of a ``map()`` block, for tests of engines' surfaces; and calls that come when a block has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nydus_core import EventualCommand, NydusError, create_cluster

__all__ = ["Queue", "refuses_when_too_late"]


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


def refuses_when_too_late(engine: str, call: Callable[[Any], Any]) -> None:
    """See that a call on a block that has raised is refused, and that the one inside of it was never sent.

    Parameters:
        engine: The name of the engine. No host is asked.
        call: The call, given the connection of the block.
    """
    hosts = [{"port": 1}, {"port": 2}]
    with create_cluster({"engine": engine, "router": "slots", "hosts": hosts}) as cluster:
        with pytest.raises(LookupError), cluster.map() as conn:
            kept = call(conn)
            raise LookupError
        with pytest.raises(NydusError, match=r"comes too late: this map\(\) block has raised"):
            call(conn)
        assert len(conn) == 1
        with pytest.raises(NydusError, match="was never sent"):
            kept.value  # noqa: B018
