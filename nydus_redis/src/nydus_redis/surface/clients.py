"""Surfaces that users call: a ``redis.Redis`` whose commands end in ``dispatch`` instead of a socket.

redis-py's own methods put the commands together and parse the replies, so a host receives the same bytes as from redis-py.
There are three surfaces: for a cluster, for one host, and for a ``map()`` block, which only queues. Pipelines,
subscriptions and iteration, which are more than one command, have modules of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import redis
from redis.client import Monitor, PubSub
from redis.exceptions import NoScriptError

from nydus_core.command import Command, Dispatch
from nydus_core.drafts import Drafts
from nydus_core.engines import SurfaceFactory, named_as_called
from nydus_core.errors import MaybeApplied
from nydus_core.wording import nearest
from nydus_redis.commands import DraftingSurface, Wire, need_no_connection
from nydus_redis.connection import BlockingHost, ClosingPool
from nydus_redis.errors import RoutingError
from nydus_redis.options import wire_options
from nydus_redis.surface.ending import Ending
from nydus_redis.surface.host_pipeline import HostPipeline, of_group
from nydus_redis.surface.iterating import IteratingOverHost
from nydus_redis.surface.key_scan import KeyScan
from nydus_redis.surface.of_cluster import OfCluster, admitting, name_of_script, text_instead
from nydus_redis.surface.pipeline import ClusterPipeline
from nydus_redis.surface.quick import Quick
from nydus_redis.surface.refusals import NoGroupPipelines, OfSharedConnections, Queued
from nydus_redis.surface.scan import ClusterScan
from nydus_redis.surface.scripts import RunsScripts, Scripts, scripts_of

if TYPE_CHECKING:
    from nydus_redis.pubsub import ClusterPubSub

__all__ = ["Surfaces", "SurfacesBase", "host_client", "no_such_command", "on_shared_connections", "surfaces"]


def no_such_command(name: str, kind: type[Any]) -> AttributeError:
    """Return the error for an attribute that a client of redis-py does not have."""
    if name in _OF_PIPELINES:
        return AttributeError(
            f"{name}() is a method of pipelines: use cluster.pipeline(), with watched keys "
            "cluster.on_key(key).pipeline() or cluster.on_key(key).transaction(function, key)"
        )
    near = "" if name.startswith("_") else nearest(name, dir(kind))
    return AttributeError(f"redis-py has no command {name!r}{near}")


_Monitor: Any = Monitor  # has no types
_PubSub: Any = PubSub

#: Names that only redis-py's pipelines have.
_OF_PIPELINES = ("multi", "execute", "discard", "exec")


def on_shared_connections(call: Dispatch) -> Dispatch:
    """Return a dispatch to one host that refuses commands which leave a state on their connection."""

    def dispatch(command: Command) -> Any:
        need_no_connection(command)
        return call(command)

    return dispatch


class _NoPool(redis.ConnectionPool):
    """A pool that never connects: the surface of a cluster has no host of its own."""

    def get_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError("this needs a connection to one host: use cluster.on(host)")


class _Client(Quick, redis.Redis):
    """A ``redis.Redis`` whose commands end in a dispatch."""

    def nydus_end_in(self, dispatch: Dispatch, wire: Wire) -> Self:
        describe = wire.describe

        def execute_command(*args: Any, **options: Any) -> Any:
            return dispatch(describe(args, options))

        self.execute_command = execute_command  # type: ignore[method-assign]  # a method with self would take a tenth longer
        self.nydus_dispatch, self.nydus_wire = dispatch, wire
        return self

    def __getattr__(self, name: str) -> NoReturn:
        raise no_such_command(name, redis.Redis)


@named_as_called
class _RunsScripts(RunsScripts):
    """Runs scripts with blocking calls."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script by its name. A host that does not know a registered script is sent the text."""
        redis_py: Any = super()
        text = self.nydus_scripts.text(sha)
        if self.nydus_text_first(text, keys_and_args):
            return redis_py.eval(text, numkeys, *keys_and_args)
        try:
            return redis_py.evalsha(sha, numkeys, *keys_and_args)
        except NoScriptError as error:
            return redis_py.eval(text_instead(error, text), numkeys, *keys_and_args)


@named_as_called
class _HostClient(_RunsScripts, Ending, IteratingOverHost, NoGroupPipelines, OfSharedConnections, _Client):
    """The client of one host: pipelines and subscriptions work on its pool.

    A client from ``on_key`` refuses commands with keys of other hosts, and so do its pipelines and subscriptions.
    """

    nydus_engine: BlockingHost
    nydus_admit: Callable[[Command], None] | None
    nydus_scans, nydus_key_scans = ClusterScan, KeyScan

    def client(self) -> Any:
        """Return a client with connections of its own, which are closed at its end: no other client gets their state."""
        own: Any = ClosingPool(self.nydus_engine.connections.held)
        return redis.Redis(connection_pool=own, single_connection_client=True)

    def monitor(self) -> Any:
        """Return redis-py's reader of the commands that the host receives. It holds a connection of its own."""
        return _Monitor(self.nydus_engine.connections.held)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> HostPipeline:
        """Return a pipeline of redis-py, which is sent at most once."""
        pipeline = HostPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        return pipeline.nydus_on(self)

    def nydus_pipeline_of(self, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return a pipeline of a group of commands, which is sent at most once."""
        pipeline = of_group(make(*args, **kwargs), HostPipeline)
        return pipeline.nydus_on(self)

    def pubsub(self, **kwargs: Any) -> Any:
        """Return redis-py's own subscriptions, on this host."""
        subscriber: Any = _PubSub(self.nydus_engine.connections.held, **kwargs)
        self.nydus_engine.connections.subscribers.add(subscriber)
        return admitting(subscriber, self.nydus_admit, self.nydus_wire)


@named_as_called
class _MapClient(RunsScripts, Queued, _Client):
    """The client in a ``map()`` block: it queues commands."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Queue a script. The text of a registered script is sent with it, so that no host has to know the script."""
        text = self.nydus_scripts.text(sha)
        if text is not None:
            return self.eval(text, numkeys, *keys_and_args)
        return super().evalsha(sha, numkeys, *keys_and_args)


@named_as_called
class _ClusterClient(_RunsScripts, Ending, OfCluster, _Client):
    """The client behind the commands of a cluster."""

    nydus_pipelines = ClusterPipeline

    @staticmethod
    def nydus_subscriptions(*args: Any, **kwargs: Any) -> ClusterPubSub:
        from nydus_redis.pubsub import ClusterPubSub  # which most programs do not need

        return ClusterPubSub(*args, **kwargs)

    nydus_scans, nydus_key_scans = ClusterScan, KeyScan

    def script_load(self, script: Any) -> Any:
        """Load a script on all hosts, and return its one name, as redis-py's scripts and locks need it.

        A host that is down does not keep the others from loading the script. Running the script there reports that host.
        """
        try:
            names: Any = super().script_load(script)
        except MaybeApplied:
            return name_of_script(script)
        return names[0] if type(names) is list else names


class SurfacesBase:
    """Makes surfaces: alike on both sides for ``map()`` blocks; for clusters a subclass decides. See ``Engine.surface``.

    Parameters:
        options: The options of each host.

    Raises:
        ConfigError: The hosts do not agree on how commands and replies look.
    """

    def __init__(self, options: Sequence[Mapping[str, Any]]) -> None:
        wire = wire_options(options)
        self.scripts = scripts = Scripts()
        self._map_client = _MapClient(connection_pool=_NoPool(**wire))
        self._cluster_client = self._make_cluster_client(wire)
        self._map_client.nydus_scripts = self._cluster_client.nydus_scripts = scripts
        self._cluster_client.response_callbacks = callbacks = self._map_client.response_callbacks
        self._wire = Wire(wire, callbacks)

    def _make_cluster_client(self, wire: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def __call__(self, dispatch: Dispatch) -> _MapClient:
        """Return an object with redis-py's methods, each of which ends in a dispatch that queues."""
        # A copy, for making a client takes 30 times as long
        return copy.copy(self._map_client).nydus_end_in(dispatch, self._wire)

    def of_map(self, queue: Drafts) -> DraftingSurface:
        """Return the surface of a ``map()`` block, which queues drafts of commands: see ``nydus_core.drafts``."""
        return DraftingSurface(self(queue.add), self._wire, queue)

    def key_of(self, key: Any) -> bytes:
        """Return a key as it is sent.

        Raises:
            redis.DataError: redis-py sends nothing of this type.
        """
        return self._wire.key(key)

    def of_cluster(self, cluster: Any, dispatch: Dispatch) -> Any:
        """Return the surface whose methods are the methods of a cluster."""
        client = copy.copy(self._cluster_client).nydus_end_in(dispatch, self._wire)
        client.nydus_cluster = cluster
        return client


class Surfaces(SurfacesBase):
    """Makes surfaces for ``map()`` blocks and for blocking clusters. See ``SurfacesBase``."""

    def _make_cluster_client(self, wire: Mapping[str, Any]) -> Any:
        return _ClusterClient(connection_pool=_NoPool(**wire))


def surfaces(options: Sequence[Mapping[str, Any]]) -> Surfaces:
    """Return the maker of surfaces. See ``Surfaces``."""
    return Surfaces(options)


def host_client(
    engine: BlockingHost,
    options: Mapping[str, Any],
    call: Callable[[Command], Any],
    make_surface: SurfaceFactory | None = None,
) -> _HostClient:
    """Return a client of one host: commands end in ``call``, and pipelines and subscriptions work on its pool.

    Parameters:
        engine: The host.
        options: The options of the host.
        call: Delivers a command.
        make_surface: Makes the surfaces of the cluster, whose scripts the client knows.
    """
    client = _HostClient(connection_pool=engine.pool)
    client.nydus_engine, client.nydus_admit = engine, getattr(call, "admit", None)
    client.nydus_groups_have_pipelines = client.nydus_admit is None
    client.nydus_scripts = scripts_of(make_surface)
    wire = Wire(wire_options([options]), client.response_callbacks)
    return client.nydus_end_in(on_shared_connections(call), wire)
