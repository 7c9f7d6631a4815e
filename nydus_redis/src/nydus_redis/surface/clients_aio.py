"""Surfaces with asyncio: a ``redis.asyncio.Redis`` whose commands end in ``dispatch`` instead of a socket.

There is a surface for a cluster and one for a host. A ``map()`` block only queues, so it has the same surface as with
blocking calls. See ``nydus_redis.surface.clients``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self, cast

import redis.asyncio
from redis.asyncio.client import Monitor, PubSub
from redis.exceptions import NoScriptError

from nydus_core.aio import AsyncCluster
from nydus_core.command import Command, Dispatch, LateCommand
from nydus_core.engines import SurfaceFactory, named_as_called
from nydus_core.errors import MaybeApplied
from nydus_redis.commands import Wire
from nydus_redis.connection import AsyncClosingPool, AsyncHost
from nydus_redis.errors import RoutingError
from nydus_redis.options import wire_options
from nydus_redis.pubsub import AsyncClusterPubSub
from nydus_redis.surface.clients import SurfacesBase, no_such_command, on_shared_connections
from nydus_redis.surface.ending_aio import AsyncEnding
from nydus_redis.surface.host_pipeline import of_group
from nydus_redis.surface.iterating import IteratingOverHost
from nydus_redis.surface.of_cluster import OfCluster, admitting, name_of_script, text_instead
from nydus_redis.surface.pipelines_aio import AsyncClusterPipeline, AsyncHostPipeline
from nydus_redis.surface.quick import Quick
from nydus_redis.surface.refusals import NoGroupPipelines, OfSharedConnections
from nydus_redis.surface.scan_aio import AsyncClusterScan, AsyncKeyScan
from nydus_redis.surface.scripts import RunsScripts, scripts_of

__all__ = ["async_host_client", "async_surfaces"]

# Their types are for users: here methods answer otherwise
_Redis: Any = redis.asyncio.Redis
_Monitor: Any = cast(Any, Monitor)
_HostPipeline: Any = cast(Any, AsyncHostPipeline)
_ConnectionPool: Any = redis.asyncio.ConnectionPool


class _NoPool(_ConnectionPool):  # type: ignore[misc]
    """A pool that never connects: the surface of a cluster has no host of its own."""

    async def get_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError("this needs a connection to one host: use cluster.on(host)")


class _SingleClient(_Redis):  # type: ignore[misc]
    """A client with connections of its own, which are closed at its end: no other client gets their state."""

    async def __aexit__(self, *_: object) -> None:
        """Close the client. redis-py's own method waits before that, and closes nothing if its task is cancelled then."""
        await self.aclose()


class _Client(Quick, _Redis):  # type: ignore[misc]
    """A ``redis.asyncio.Redis`` whose commands end in a dispatch."""

    def nydus_end_in(self, dispatch: Dispatch, wire: Wire) -> Self:
        describe = wire.describe

        async def executed(args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return await dispatch(describe(args, options))

        def execute_command(*args: Any, **options: Any) -> Any:
            command: Any = executed(args, options)
            command.__qualname__ = f"command {args[0]}" if args else "command"
            return command  # Python warns with this name if nobody awaits it

        self.execute_command = execute_command
        self.nydus_dispatch, self.nydus_wire = dispatch, wire
        return self

    def __getattr__(self, name: str) -> NoReturn:
        raise no_such_command(name, redis.asyncio.Redis)


@named_as_called
class _RunsScripts(RunsScripts):
    """Runs scripts with asyncio."""

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script by its name. A host that does not know a registered script is sent the text."""
        redis_py: Any = super()
        text = self.nydus_scripts.text(sha)
        if self.nydus_text_first(text, keys_and_args):
            return await redis_py.eval(text, numkeys, *keys_and_args)
        try:
            return await redis_py.evalsha(sha, numkeys, *keys_and_args)
        except NoScriptError as error:
            return await redis_py.eval(text_instead(error, text), numkeys, *keys_and_args)


@named_as_called
class _HostClient(
    _RunsScripts, AsyncEnding, IteratingOverHost, NoGroupPipelines, OfSharedConnections, _Client
):
    """The client of one host: pipelines and subscriptions work on its pools in the running event loop.

    A client from ``on_key`` refuses commands with keys of other hosts, and so do its pipelines and subscriptions.
    """

    nydus_engine: AsyncHost | None = None
    nydus_admit: Callable[[Command], None] | None
    nydus_scans, nydus_key_scans = AsyncClusterScan, AsyncKeyScan

    @property
    def connection_pool(self) -> Any:
        """The connections for commands, in the running event loop."""
        return self._no_pool if self.nydus_engine is None else self.nydus_engine.pipelines

    @connection_pool.setter
    def connection_pool(self, pool: Any) -> None:
        self._no_pool = pool

    def get_encoder(self) -> Any:
        """Return redis-py's encoder of arguments."""
        return self._no_pool.get_encoder()

    def client(self) -> Any:
        """Return a client with connections of its own, which are closed at its end: no other client gets their state."""
        assert self.nydus_engine is not None
        own = AsyncClosingPool(self.nydus_engine.held)
        return _SingleClient(connection_pool=own, single_connection_client=True)

    def monitor(self) -> Any:
        """Return redis-py's reader of the commands that the host receives. It holds a connection of its own."""
        assert self.nydus_engine is not None
        return _Monitor(self.nydus_engine.held)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> AsyncHostPipeline:
        """Return a pipeline of redis-py, which is sent at most once."""
        assert self.nydus_engine is not None
        made = _HostPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline: AsyncHostPipeline = made.nydus_on(self)
        return pipeline

    def nydus_pipeline_of(self, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return a pipeline of a group of commands, which is sent at most once."""
        pipeline = of_group(make(*args, **kwargs), AsyncHostPipeline)
        return pipeline.nydus_on(self)

    def pubsub(self, **kwargs: Any) -> Any:
        """Return redis-py's own subscriptions, on this host."""
        assert self.nydus_engine is not None
        subscriber: Any = PubSub(self.nydus_engine.held, **kwargs)
        self.nydus_engine.subscribers.add(subscriber)
        return admitting(subscriber, self.nydus_admit, self.nydus_wire)


@named_as_called
class _ClusterClient(_RunsScripts, AsyncEnding, OfCluster, _Client):
    """The client behind the commands of a cluster."""

    nydus_pipelines, nydus_subscriptions = AsyncClusterPipeline, AsyncClusterPubSub
    nydus_scans, nydus_key_scans = AsyncClusterScan, AsyncKeyScan

    def nydus_deliver_late(self, deliver: Callable[[LateCommand], Any]) -> None:
        """Have the cluster describe a command when it is awaited: one coroutine less for each.

        Parameters:
            deliver: Delivers a command that it makes.
        """
        describe = self.nydus_wire.describe

        def execute_command(*args: Any, **options: Any) -> Any:
            command: Any = deliver((describe, args, options))
            command.__qualname__ = f"command {args[0]}" if args else "command"
            return command

        self.execute_command = execute_command

    async def initialize(self) -> Any:
        """Return the cluster, which connects at the first command."""
        return self.nydus_cluster

    async def script_load(self, script: Any) -> Any:
        """Load a script on all hosts, and return its one name, as redis-py's scripts and locks need it.

        A host that is down does not keep the others from loading the script. Running the script there reports that host.
        """
        try:
            names: Any = await super().script_load(script)
        except MaybeApplied:
            return name_of_script(script)
        return names[0] if type(names) is list else names


class AsyncSurfaces(SurfacesBase):
    """Makes surfaces for ``map()`` blocks and for asynchronous clusters. See ``SurfacesBase``."""

    def of_cluster(self, cluster: Any, dispatch: Dispatch) -> Any:
        """Return the surface whose methods are the methods of a cluster."""
        client = super().of_cluster(cluster, dispatch)
        if isinstance(cluster, AsyncCluster):
            client.nydus_deliver_late(dispatch)
        return client

    def _make_cluster_client(self, wire: Mapping[str, Any]) -> Any:
        made: Any = _ClusterClient
        return made(connection_pool=_NoPool(**wire))


def async_surfaces(options: Sequence[Mapping[str, Any]]) -> AsyncSurfaces:
    """Return the maker of surfaces. See ``AsyncSurfaces``."""
    return AsyncSurfaces(options)


def async_host_client(
    engine: AsyncHost,
    options: Mapping[str, Any],
    call: Callable[[Command], Any],
    make_surface: SurfaceFactory | None = None,
) -> _HostClient:
    """Return a client of one host: commands end in ``call``, and pipelines and subscriptions work on its pools.

    Parameters:
        engine: The host.
        options: The options of the host.
        call: Delivers a command.
        make_surface: Makes the surfaces of the cluster, whose scripts the client knows.
    """
    wire = wire_options([options])
    made: Any = _HostClient
    client: _HostClient = made(connection_pool=_NoPool(**wire))
    client.nydus_engine, client.nydus_admit = engine, getattr(call, "admit", None)
    client.nydus_groups_have_pipelines = client.nydus_admit is None
    client.nydus_scripts = scripts_of(make_surface)
    return client.nydus_end_in(on_shared_connections(call), Wire(wire, client.response_callbacks))
