"""Nydus: spread the work of one client over many servers. ``create_cluster`` is where it starts."""

from nydus_core.aio.cluster import AsyncCluster
from nydus_core.aio.engine import BaseAsyncEngine
from nydus_core.aio.threaded import ThreadedEngine
from nydus_core.base_engine import BaseEngine
from nydus_core.cluster import Cluster
from nydus_core.command import Command, Outcome
from nydus_core.connections import connections
from nydus_core.create import create_async_cluster, create_cluster
from nydus_core.engine import AsyncEngine, Engine
from nydus_core.errors import (
    CommandError,
    ConfigError,
    CrossHostError,
    DeadlineExceeded,
    HostDown,
    HostError,
    HostListExhausted,
    MaybeApplied,
    NydusError,
    PluginError,
    RoutingError,
)
from nydus_core.health import HostHealth
from nydus_core.hookspecs import hookimpl
from nydus_core.promise import EventualCommand
from nydus_core.retry import Retry, RetryPolicy
from nydus_core.routers.protocol import Router

__all__ = [
    "AsyncCluster",
    "AsyncEngine",
    "BaseAsyncEngine",
    "BaseEngine",
    "Cluster",
    "Command",
    "CommandError",
    "ConfigError",
    "CrossHostError",
    "DeadlineExceeded",
    "Engine",
    "EventualCommand",
    "HostDown",
    "HostError",
    "HostHealth",
    "HostListExhausted",
    "MaybeApplied",
    "NydusError",
    "Outcome",
    "PluginError",
    "Retry",
    "RetryPolicy",
    "Router",
    "RoutingError",
    "ThreadedEngine",
    "connections",
    "create_async_cluster",
    "create_cluster",
    "hookimpl",
]
