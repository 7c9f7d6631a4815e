"""Subscriptions over all hosts."""

from nydus_redis.pubsub.cluster import ClusterPubSub
from nydus_redis.pubsub.cluster_aio import AsyncClusterPubSub

__all__ = [
    "AsyncClusterPubSub",
    "ClusterPubSub",
]
