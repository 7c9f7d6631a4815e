"""The Redis and Valkey backend of Nydus, on redis-py. ``Redis`` talks to one host; ``Embedded`` brings its own."""

from nydus_redis.engine import Redis

__all__ = ["Redis"]
