"""Subscriptions over all hosts."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy

if TYPE_CHECKING:
    from nydus_redis.pubsub.cluster import ClusterPubSub
    from nydus_redis.pubsub.cluster_aio import AsyncClusterPubSub
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_redis.pubsub.cluster": ["ClusterPubSub"],
            "nydus_redis.pubsub.cluster_aio": ["AsyncClusterPubSub"],
        },
    )

__all__ = ["AsyncClusterPubSub", "ClusterPubSub"]
