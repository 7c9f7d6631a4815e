"""Nydus: spread the work of one client over many servers. Start with ``create_cluster``.

A name is imported when it is first used, see ``nydus_core.lazy``: a program that only imports Nydus waits for next to nothing.
"""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy, register_former

if TYPE_CHECKING:
    from nydus_core.aio import AsyncCluster, BaseAsyncEngine, ThreadedEngine
    from nydus_core.checks import SettingsWarning
    from nydus_core.cluster import Cluster, EventualCommand
    from nydus_core.command import Command, Outcome
    from nydus_core.connections import connections
    from nydus_core.create import create_async_cluster, create_cluster
    from nydus_core.delivery import Retry, RetryPolicy
    from nydus_core.engines import AsyncEngine, BaseEngine, Engine
    from nydus_core.errors import (
        CommandError,
        ConfigError,
        CrossHostError,
        DeadlineExceeded,
        ForeignWordError,
        HostDown,
        HostError,
        HostListExhausted,
        MaybeApplied,
        NoEventLoop,
        NydusError,
        PluginError,
        ReentrantCall,
        RoutingError,
    )
    from nydus_core.health import HostHealth
    from nydus_core.plugins import hookimpl
    from nydus_core.routers import Router
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_core.aio": ["AsyncCluster", "BaseAsyncEngine", "ThreadedEngine"],
            "nydus_core.checks": ["SettingsWarning"],
            "nydus_core.cluster": ["Cluster", "EventualCommand"],
            "nydus_core.command": ["Command", "Outcome"],
            "nydus_core.connections": ["connections"],
            "nydus_core.create": ["create_async_cluster", "create_cluster"],
            "nydus_core.delivery": ["Retry", "RetryPolicy"],
            "nydus_core.engines": ["AsyncEngine", "BaseEngine", "Engine"],
            "nydus_core.errors": [
                "CommandError",
                "ConfigError",
                "CrossHostError",
                "DeadlineExceeded",
                "ForeignWordError",
                "HostDown",
                "HostError",
                "HostListExhausted",
                "MaybeApplied",
                "NoEventLoop",
                "NydusError",
                "PluginError",
                "ReentrantCall",
                "RoutingError",
            ],
            "nydus_core.health": ["HostHealth"],
            "nydus_core.plugins": ["hookimpl"],
            "nydus_core.routers": ["Router"],
        },
    )

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
    "ForeignWordError",
    "HostDown",
    "HostError",
    "HostHealth",
    "HostListExhausted",
    "MaybeApplied",
    "NoEventLoop",
    "NydusError",
    "Outcome",
    "PluginError",
    "ReentrantCall",
    "Retry",
    "RetryPolicy",
    "Router",
    "RoutingError",
    "SettingsWarning",
    "ThreadedEngine",
    "connections",
    "create_async_cluster",
    "create_cluster",
    "hookimpl",
]

# Modules that the documentation named before they moved into rooms: ``from nydus_core.retry import Repeat`` still works,
# and so does ``import nydus_core.retry``
register_former(
    __name__,
    {
        "base_engine": "engines",
        "batches": "engines",
        "engine": "engines",
        "explain": "cluster",
        "hookspecs": "plugins.specs",
        "mapping": "cluster",
        "retry": "delivery",
    },
)
