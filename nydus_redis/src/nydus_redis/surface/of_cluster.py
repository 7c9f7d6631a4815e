"""Pipelines, subscriptions and iteration of a cluster, for both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from nydus_core.command import Command
from nydus_core.engines import named_as_called
from nydus_core.errors import HostError, MaybeApplied
from nydus_core.plain import plain
from nydus_core.routers import BaseRouter, Spread
from nydus_redis.commands import Wire
from nydus_redis.errors import RoutingError
from nydus_redis.surface.iterating import Iterating
from nydus_redis.surface.only_host import client_of_only_host, handed_over
from nydus_redis.surface.refusals import OverManyHosts
from nydus_redis.surface.scripts import RunsScripts

__all__ = [
    "NO_CHANNELS",
    "OfCluster",
    "admitting",
    "goes_to_many",
    "name_of_script",
    "need_router_by_key",
    "text_instead",
]

#: Why a cluster has no subscriptions if its router was written for nydus 0.11.
NO_CHANNELS = "a router of nydus 0.11 gives channels no host: use cluster.on(host).pubsub()"


@named_as_called
class OfCluster(RunsScripts, Iterating, OverManyHosts):
    """Methods of a cluster's client besides commands. Each side names its own classes for the objects that they return."""

    response_callbacks: Any
    nydus_cluster: Any = None
    nydus_wire: Wire
    #: Make a pipeline, subscriptions, and an iteration over keys.
    nydus_pipelines: Callable[..., Any]
    nydus_subscriptions: Callable[..., Any]
    nydus_scans: Callable[..., Any]

    monitor = handed_over("monitor", OverManyHosts.monitor)
    client = handed_over("client", OverManyHosts.client)
    parse_response = handed_over("parse_response", OverManyHosts.parse_response)
    watch = handed_over("watch", OverManyHosts.watch)
    unwatch = handed_over("unwatch", OverManyHosts.unwatch)

    @property
    def nydus_groups_have_pipelines(self) -> bool:  # type: ignore[override]
        """Whether ``json().pipeline()`` and its like are allowed: in a cluster of one host, whose connections these use."""
        return self.nydus_cluster is not None and len(self.nydus_cluster) == 1

    def nydus_pipeline_of(self, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return a pipeline of a group of commands on the only host."""
        return client_of_only_host(self.nydus_cluster).nydus_pipeline_of(make, *args, **kwargs)

    @property
    def connection_pool(self) -> Any:
        """The connections of the only host. With several hosts, a pool that never connects."""
        client = None if self.nydus_cluster is None else client_of_only_host(self.nydus_cluster)
        try:
            return self.nydus_no_pool if client is None else client.connection_pool
        except RuntimeError:  # outside of event loops: what redis-py asks there is only how to encode
            return self.nydus_no_pool

    @connection_pool.setter
    def connection_pool(self, pool: Any) -> None:
        self.nydus_no_pool = pool

    def get_encoder(self) -> Any:
        """Return redis-py's encoder of arguments."""
        return self.nydus_no_pool.get_encoder()

    def transaction(self, func: Any, *watches: Any, **options: Any) -> Any:
        """Run a transaction that watches keys, as redis-py does, in a cluster of one host.

        Parameters:
            func: Called with a pipeline, again and again until no watched key changes meanwhile.
            watches: The keys to watch.
            options: See redis-py.

        Raises:
            RoutingError: The cluster has several hosts.
        """
        alone = len(self.nydus_cluster) == 1
        run = self._redis_py().transaction if alone else super().transaction
        return run(func, *watches, **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Return an object with redis-py's names for a ``map()``: see ``ClusterPipeline``.

        Parameters:
            transaction: Whether each host applies all of its commands or none.
            shard_hint: Has no effect, as in redis-py.

        Raises:
            RoutingError: The router was written for nydus 0.11, and wants to see calls.
        """
        cluster = self.nydus_cluster
        need_router_by_key(cluster.router, "a router of nydus 0.11 wants to see each call: use cluster.map()")
        return self.nydus_pipelines(
            cluster,
            self.nydus_no_pool,
            self.response_callbacks,
            self.nydus_wire,
            self.nydus_scripts,
            transaction,
        )

    def pubsub(self, **kwargs: Any) -> Any:
        """Return subscriptions over all hosts: see ``ClusterPubSub``.

        Raises:
            RoutingError: The router was written for nydus 0.11, and does not place channels.
        """
        need_router_by_key(self.nydus_cluster.router, NO_CHANNELS)
        return self.nydus_subscriptions(self.nydus_cluster, self.nydus_wire, self.get_encoder(), **kwargs)

    def scan_iter(
        self,
        match: Any = None,
        count: int | None = None,
        _type: str | None = None,
        *,
        cursor: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Iterate over the keys of all hosts, one host after the other.

        Parameters:
            match: Only keys that match this pattern.
            count: About how many keys a server looks at for one request.
            _type: Only keys with values of this type, such as ``'string'``.
            cursor: Go on from here: the ``.cursor`` of an earlier iteration, perhaps of another process.
            kwargs: Further options of redis-py's ``scan``.

        Raises:
            RoutingError: The text is no cursor, or a cursor of other hosts or other options.
        """
        return self.nydus_scans(self.nydus_cluster, match, count, _type, cursor, **kwargs)

    def nydus_hosts(self) -> Any:
        """Return the cluster, for iterations."""
        return self.nydus_cluster

    def lock(self, name: Any, *args: Any, **kwargs: Any) -> Any:
        """Return redis-py's lock, on the host of its name and on no other: another host would grant it again.

        Parameters:
            name: The key of the lock.
            args: Further arguments of redis-py's ``lock``.
            kwargs: The same, by name.

        Raises:
            RoutingError: The router gives no key a host of its own.
            HostDown: By the lock's methods: the host is down.
        """
        if isinstance(self.nydus_cluster.router, BaseRouter):
            return self._redis_py().lock(name, *args, **kwargs)
        return self.nydus_cluster.on_key(name).lock(name, *args, **kwargs)

    def nydus_text_first(self, text: Any, args: Sequence[Any]) -> bool:
        """Tell whether the text of a script is sent, and not its name first: always where many hosts run it."""
        return super().nydus_text_first(text, args) or (text is not None and goes_to_many(self.nydus_cluster))


def need_router_by_key(router: Any, why: str) -> None:
    """Refuse a router that places calls, where a router is needed that places keys.

    Raises:
        RoutingError: The router was written for nydus 0.11.
    """
    if isinstance(router, BaseRouter):
        raise RoutingError(why)


def goes_to_many(cluster: Any) -> bool:
    """Tell whether each command goes to all hosts, and there is more than one host."""
    return len(cluster) > 1 and getattr(cluster.router, "spread", Spread.ALL) is Spread.ALL


def text_instead(error: NoScriptError, text: Any) -> Any:
    """Return the text of a script that a host does not know by its name.

    Parameters:
        error: The error of running the script by its name.
        text: The text of the script; None if it is not known.

    Raises:
        MaybeApplied: Some hosts have run the script, so redis-py must not run it again.
        NoScriptError: The text is not known.
    """
    if isinstance(error, HostError):
        raise MaybeApplied(error.why, host=error.host, command=error.command) from error
    if text is None:
        raise error
    return text


def name_of_script(script: str | bytes) -> str:
    """Return the name that servers give a script."""
    text = plain(script)
    return hashlib.sha1(text.encode() if isinstance(text, str) else text).hexdigest()


def admitting(subscriber: Any, admit: Callable[[Command], None] | None, wire: Wire) -> Any:
    """Have subscriptions on one host refuse channels of other hosts; without ``admit``, refuse nothing."""
    execute = subscriber.execute_command

    def execute_command(*args: Any) -> Any:
        if admit is not None and args[0] in ("SUBSCRIBE", "SSUBSCRIBE"):
            admit(wire.describe(("EXISTS", *args[1:]), {}))
        return execute(*args)

    if admit is not None:
        subscriber.execute_command = execute_command
    return subscriber
