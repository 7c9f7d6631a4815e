"""Subscriptions on one host, on both sides: the error for a lost host, and the time of the next attempt. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import redis

from nydus_core.command import Command, key_bytes
from nydus_core.errors import HostDown, HostError
from nydus_redis.connection import as_client_error
from nydus_redis.pubsub.ledger import CHANNELS, PATTERNS, SHARD_CHANNELS

__all__ = ["KEPT", "SubscriberBase", "as_pong"]

#: Seconds before the next attempt to reach a host again, by the number of failures.
_PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0)

#: Seconds that the rest of a message may take, where the host has no ``timeout``.
_PATIENCE = 5.0

#: The attributes in which redis-py keeps subscriptions.
KEPT = {CHANNELS: "channels", PATTERNS: "patterns", SHARD_CHANNELS: "shard_channels"}


class SubscriberBase:
    """Subscriptions on one host, without I/O: the error for a lost host, and the time of the next attempt.

    Parameters:
        engine: The host.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._patience: float = getattr(engine, "timeout", None) or _PATIENCE
        self._failures = 0
        self._due = 0.0

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions."""
        raise NotImplementedError

    @property
    def connection(self) -> Any:
        """The connection of redis-py; None while there is none."""
        raise NotImplementedError

    def open_soon(self) -> bool:
        """Begin to connect, if there is no connection; return whether there is one.

        Raises:
            HostDown: The host cannot be reached.
        """
        raise NotImplementedError

    def subscribe(self, kind: str, names: Sequence[Any]) -> None:
        """Subscribe to names: now, or as soon as there is a connection.

        Raises:
            HostDown: The connection is lost. None of the names is subscribed to.
        """
        raise NotImplementedError

    def unsubscribe(self, kind: str, names: Sequence[Any]) -> bool:
        """End subscriptions; return whether the host will confirm this. A host that cannot be reached will not."""
        raise NotImplementedError

    def ping(self, message: Any) -> None:
        """Send a PING. The answer comes as a message.

        Raises:
            HostDown: The host cannot be reached.
        """
        raise NotImplementedError

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; None if there is none yet. A lost connection is opened again.

        Raises:
            HostDown: The connection was lost, or cannot be opened again. Outstanding confirmations never come.
            redis.ResponseError: The server refuses a subscription.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End all subscriptions, and close the connection."""
        raise NotImplementedError

    def _failed(self, error: Exception, kind: str, names: Iterable[Any]) -> HostError:
        """Note that the host cannot be reached; return the error for the user."""
        self._due = time.monotonic() + _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        command = Command(kind.upper(), keys=[key_bytes(name) for name in names])
        raised = self.engine.failed(HostDown, as_client_error(error), command)
        assert isinstance(raised, HostError)
        if self.subscribed:
            raised.why += (
                "; what is published there until it is subscribed again is lost: the next call tries it"
            )
        return raised

    def _late(self) -> Exception:
        return redis.TimeoutError(f"no answer to a health check within {self._patience:g} seconds")


def as_pong(reply: str | bytes) -> dict[str, Any]:
    """Return the message for the answer to PING over RESP3, which is a text. redis-py recognizes only bytes."""
    data = reply[:0] if reply in ("PONG", b"PONG") else reply
    return {"type": "pong", "pattern": None, "channel": None, "data": data}
