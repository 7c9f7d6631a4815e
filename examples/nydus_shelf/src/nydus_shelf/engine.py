"""The engine: tells Nydus how to use ``Store``."""

from __future__ import annotations

from typing import Any

from nydus_core import BaseEngine, Command, ThreadedEngine
from nydus_core.command import Access
from nydus_shelf.store import Store

__all__ = ["AsyncShelf", "Shelf"]


class Shelf(BaseEngine):
    """One host: one file. Every method of ``Store`` is a command, and its first argument is the key.

    Parameters:
        num: The key of the host in the settings.
        path: The file.
        timeout: How long to wait while another process writes, in seconds.
    """

    async_side = "nydus_shelf.engine.AsyncShelf"

    def __init__(self, num: Any, path: str, timeout: float = 5.0) -> None:
        super().__init__(num)
        self.path = path
        self.timeout = timeout

    def connect(self) -> Store:
        """Open the file; called at the first command."""
        return Store(self.path, self.timeout)

    def disconnect(self) -> None:
        """Close the file; a later command opens it again."""
        self.connection.close()

    @property
    def identifier(self) -> str:
        """Names the host in errors."""
        return self.path

    @classmethod
    def describe(cls, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Command:
        """Describe a command; ``get`` and ``count`` only read, so they may be repeated when no answer came."""
        command = super().describe(name, args, kwargs)
        if name in ("get", "count"):
            command.access = Access.READ
        return command


class AsyncShelf(ThreadedEngine):
    """One host, for asyncio. SQLite blocks, so commands are done in threads."""

    sync_side = Shelf
