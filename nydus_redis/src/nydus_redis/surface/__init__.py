"""The methods that users call: redis-py's own, on a cluster, on one host, and in a ``map()`` block."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.surface.clients import host_client, surfaces
from nydus_redis.surface.host_pipeline import HostPipeline
from nydus_redis.surface.pipeline import ClusterPipeline
from nydus_redis.surface.scan import ClusterScan

if TYPE_CHECKING:
    from nydus_redis.surface.clients_aio import async_host_client, async_surfaces
    from nydus_redis.surface.pipelines_aio import AsyncClusterPipeline, AsyncHostPipeline
    from nydus_redis.surface.scan_aio import AsyncClusterScan
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_redis.surface.clients_aio": ["async_host_client", "async_surfaces"],
            "nydus_redis.surface.pipelines_aio": ["AsyncClusterPipeline", "AsyncHostPipeline"],
            "nydus_redis.surface.scan_aio": ["AsyncClusterScan"],
        },
    )

__all__ = [
    "AsyncClusterPipeline",
    "AsyncClusterScan",
    "AsyncHostPipeline",
    "ClusterPipeline",
    "ClusterScan",
    "HostPipeline",
    "async_host_client",
    "async_surfaces",
    "host_client",
    "surfaces",
]
