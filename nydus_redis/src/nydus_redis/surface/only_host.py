"""A cluster of one host hands that host all that needs a connection of its own: watched keys, feeds, whole clients.

With several hosts nobody could tell which of them is meant, so there the same calls are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nydus_core.errors import CommandFailure

__all__ = ["HandsOver", "client_of_only_host", "handed_over"]


def client_of_only_host(cluster: Any) -> Any:
    """Return the client of the host of a cluster that has one host; None if the cluster has several."""
    hosts = cluster.hosts
    return cluster.on(next(iter(hosts))) if len(hosts) == 1 else None


def handed_over(name: str, refuse: Callable[..., Any]) -> Any:
    """Return a method of a cluster's client that the client of the only host does; with several hosts it is refused."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        client = client_of_only_host(self.nydus_cluster)
        return (refuse if client is None else getattr(client, name))(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"Do as ``cluster.on(host).{name}`` in a cluster of one host; refuse with several hosts."
    return method


def _of_held(name: str) -> Any:
    own = f"_own_{name}"

    def get(self: Any) -> Any:
        held = self._held
        return getattr(self, own) if held is None else getattr(held, name)

    def put(self: Any, value: Any) -> None:
        if self._held is None:
            setattr(self, own, value)
        else:
            setattr(self._held, name, value)

    return property(get, put, doc="As in redis-py; of the only host's pipeline while keys are watched there.")


class HandsOver:
    """A pipeline of a cluster. In a cluster of one host it watches keys as a pipeline of that host.

    From ``watch`` to the end of ``execute`` or ``reset``, all calls go to that pipeline, which holds a connection.
    """

    response_callbacks: Any
    _cluster: Any
    _held: Any = None

    command_stack = _of_held("command_stack")
    watching = _of_held("watching")
    explicit_transaction = _of_held("explicit_transaction")
    connection = _of_held("connection")

    def _hand_over(self, names: Sequence[Any], transaction: bool) -> Any:
        """Return the pipeline of the only host, with the commands that are queued; None if there are several hosts."""
        if self._held is None and len(self._cluster) == 1:
            client = self._cluster.on_key(names[0]) if names else client_of_only_host(self._cluster)
            held: Any = client.pipeline(transaction)
            held.command_stack = self.command_stack
            held.response_callbacks = self.response_callbacks
            held.explicit_transaction = self.explicit_transaction
            self._held = held
        return self._held

    def _failures_among(self, stack: Sequence[Any], values: Sequence[Any]) -> list[CommandFailure]:
        hosts = tuple(map(str, self._cluster.hosts))
        return [
            CommandFailure(str(words[0]), value, position, hosts)
            for position, ((words, _), value) in enumerate(zip(stack, values, strict=False))
            if isinstance(value, Exception)
        ]
