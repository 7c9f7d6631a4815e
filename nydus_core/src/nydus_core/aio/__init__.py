"""The asyncio side: the cluster, engines to start from, and tools for engines: pools, and values for each event loop."""

from nydus_core.aio.cluster import AsyncCluster
from nydus_core.aio.connections import HostConnections
from nydus_core.aio.engine import BaseAsyncEngine, one_by_one
from nydus_core.aio.line import Asked, Lane, Line, LineOwner
from nydus_core.aio.loops import PerLoop
from nydus_core.aio.multiplexer import LineConnector, Multiplexer
from nydus_core.aio.pieces import with_turns
from nydus_core.aio.pool import Connector, FairPool
from nydus_core.aio.running import running_loop
from nydus_core.aio.threaded import ThreadedEngine
from nydus_core.aio.workers import in_worker

__all__ = [
    "Asked",
    "AsyncCluster",
    "BaseAsyncEngine",
    "Connector",
    "FairPool",
    "HostConnections",
    "Lane",
    "Line",
    "LineConnector",
    "LineOwner",
    "Multiplexer",
    "PerLoop",
    "ThreadedEngine",
    "in_worker",
    "one_by_one",
    "running_loop",
    "with_turns",
]
