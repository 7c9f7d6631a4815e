"""The Redis and Valkey backend of Nydus, on redis-py. ``Redis`` talks to one host; ``Embedded`` brings its own."""

from nydus_redis.engine import Redis
from nydus_redis.typed import RedisCluster, as_redis_cluster, create_redis_cluster

__all__ = ["Redis", "RedisCluster", "as_redis_cluster", "create_redis_cluster"]
