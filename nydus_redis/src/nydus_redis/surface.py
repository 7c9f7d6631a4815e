"""What users call: a ``redis.Redis`` whose commands end in ``dispatch`` instead of a socket.

redis-py's own methods put the commands together and make sense of the replies, so a host receives exactly what
redis-py would have sent it. What lives on a connection (pipelines, subscriptions) is refused with the way to it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

import redis

from nydus_core.command import Command, Dispatch, Scope
from nydus_core.errors import MaybeApplied, RoutingError
from nydus_core.registry import nearest
from nydus_redis.options import wire_options
from nydus_redis.wire import Wire

__all__ = ["host_client", "surfaces"]


class _NoPool(redis.ConnectionPool):
    """A pool that never connects: a surface has no host of its own."""

    def get_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError("this needs a connection to one host: use cluster.on(host)")


class _SingleClient(redis.Redis):
    """A client of one connection, that is closed with it: what was set on it (SELECT, MULTI) is for no other."""

    def close(self) -> None:
        connection: Any = getattr(self, "connection", None)
        if connection is not None:
            connection.disconnect()
        super().close()


class _HostClient(redis.Redis):
    """A ``redis.Redis`` whose single commands end in a dispatch; the rest of it works on its own pool."""

    def nydus_end_in(self, dispatch: Dispatch, wire: Wire) -> Self:
        describe = wire.describe

        def execute_command(*args: Any, **options: Any) -> Any:
            return dispatch(describe(args, options))

        self.execute_command = execute_command  # type: ignore[method-assign]  # a method's self would cost a tenth
        return self

    def __getattr__(self, name: str) -> NoReturn:
        near = "" if name.startswith("_") else nearest(name, dir(redis.Redis))
        raise AttributeError(f"redis-py has no command {name!r}{near}")

    def client(self) -> Any:
        """Return a client with a connection of its own."""
        return _SingleClient(connection_pool=self.connection_pool, single_connection_client=True)


class _Surface(_HostClient):
    """The same over many hosts: refuses what lives on one connection."""

    def pipeline(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError(
            "a pipeline belongs to one host: use cluster.map(), or cluster.on(host).pipeline()"
        )

    def transaction(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError(
            "a transaction belongs to one host: use cluster.map(transaction=True), or cluster.on(host).transaction()"
        )

    def pubsub(self, **kwargs: Any) -> NoReturn:
        raise RoutingError("a subscription belongs to one host: use cluster.on(host).pubsub()")

    def monitor(self) -> NoReturn:
        raise RoutingError("MONITOR belongs to one host: use cluster.on(host).monitor()")

    def script_load(self, script: Any) -> Any:
        """Load a script on all hosts. They give it one name: redis-py's scripts and locks need that.

        A host that is down does not keep the others from it; the script says so when it is run there.
        """
        try:
            names: Any = super().script_load(script)
        except MaybeApplied:
            return hashlib.sha1(script.encode() if isinstance(script, str) else script).hexdigest()
        return names[0] if type(names) is list else names

    def client(self) -> NoReturn:
        raise RoutingError("a single connection belongs to one host: use cluster.on(host).client()")

    def set_retry(self, retry: Any) -> NoReturn:
        raise RoutingError("the cluster alone decides what may be sent again: redis-py's retries stay off")

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> NoReturn:
        raise RoutingError("hosts of a cluster are named in its settings: use create_cluster")


def surfaces(options: Sequence[Mapping[str, Any]]) -> Callable[[Dispatch], _Surface]:
    """Return what makes surfaces.

    Parameters:
        options: The options of each host.

    Raises:
        ConfigError: The hosts do not agree on how commands and replies look.
    """
    how = wire_options(options)
    prototype = _Surface(connection_pool=_NoPool(**how))
    wire = Wire(how, prototype.response_callbacks)

    def make(dispatch: Dispatch) -> _Surface:
        return copy.copy(prototype).nydus_end_in(dispatch, wire)  # building one costs 30 times as much

    return make


def host_client(
    pool: redis.ConnectionPool, options: Mapping[str, Any], call: Callable[[Command], Any]
) -> _HostClient:
    """Return a client of one host: commands end in ``call``, and pipelines and subscriptions work on its pool."""
    client = _HostClient(connection_pool=pool)

    def dispatch(command: Command) -> Any:
        if command.scope is Scope.CONNECTION:
            raise RoutingError(
                f"{command.name} only has a meaning on one connection, and this client shares many: use "
                "cluster.on(host).client(), which has one of its own, or a pipeline()"
            )
        return call(command)

    return client.nydus_end_in(dispatch, Wire(wire_options([options]), client.response_callbacks))
