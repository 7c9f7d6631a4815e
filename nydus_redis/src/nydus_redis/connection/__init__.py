"""redis-py's connections: the only room that knows redis-py's private names."""

from nydus_redis.connection.host import AsyncHost, BlockingHost
from nydus_redis.connection.limit_aio import Limit
from nydus_redis.connection.patience import shut
from nydus_redis.connection.pool import Pool
from nydus_redis.connection.pool_aio import PipelinePool, RedisConnector, abort, heedful
from nydus_redis.connection.replies import (
    ANSWERS,
    FAILURES,
    REFUSALS,
    as_client_error,
    await_reply,
    read_plainly,
    read_reply,
    reader,
    says_later,
)

__all__ = [
    "ANSWERS",
    "FAILURES",
    "REFUSALS",
    "AsyncHost",
    "BlockingHost",
    "Limit",
    "PipelinePool",
    "Pool",
    "RedisConnector",
    "abort",
    "as_client_error",
    "await_reply",
    "heedful",
    "read_plainly",
    "read_reply",
    "reader",
    "says_later",
    "shut",
]
