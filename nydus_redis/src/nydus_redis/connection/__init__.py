"""redis-py's connections. Only this room knows private names of redis-py, and it does without them where there are none."""

from nydus_redis.connection.closing import AsyncClosingPool, ClosingPool
from nydus_redis.connection.host import AsyncHost, BlockingHost
from nydus_redis.connection.lasting import free_lock, without_connecting
from nydus_redis.connection.limit_aio import Limit
from nydus_redis.connection.losses import AsyncPlainLosses, PlainLosses, hidden_loss
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.pool import Connections, OwnConnections, retire_both, waits_among
from nydus_redis.connection.pool_aio import PipelinePool, RedisConnector, heedful, waiting
from nydus_redis.connection.pool_given import GivenConnections
from nydus_redis.connection.replies import (
    ANSWERS,
    FAILURES,
    REFUSALS,
    as_client_error,
    await_reply,
    read_plainly,
    read_reply,
    reader,
    says_full,
    says_goodbye,
    says_later,
)
from nydus_redis.connection.replies_aio import async_read_reply, async_reader, push_reader, whole_answer
from nydus_redis.connection.sockets import is_closed, shut
from nydus_redis.connection.streams_aio import abort, async_write, interrupt, post
from nydus_redis.connection.writing import socket_of, write

__all__ = [
    "ANSWERS",
    "FAILURES",
    "REFUSALS",
    "AsyncClosingPool",
    "AsyncHost",
    "AsyncPlainLosses",
    "BlockingHost",
    "ClosingPool",
    "Connections",
    "GivenConnections",
    "Limit",
    "Moves",
    "OwnConnections",
    "PipelinePool",
    "PlainLosses",
    "RedisConnector",
    "abort",
    "as_client_error",
    "async_read_reply",
    "async_reader",
    "async_write",
    "await_reply",
    "free_lock",
    "heedful",
    "hidden_loss",
    "interrupt",
    "is_closed",
    "post",
    "push_reader",
    "read_plainly",
    "read_reply",
    "reader",
    "retire_both",
    "says_full",
    "says_goodbye",
    "says_later",
    "shut",
    "socket_of",
    "waiting",
    "waits_among",
    "whole_answer",
    "without_connecting",
    "write",
]
