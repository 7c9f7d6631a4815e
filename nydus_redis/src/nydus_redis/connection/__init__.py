"""redis-py's connections. Only this room knows private names of redis-py, and it does without them where there are none."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.connection.closing import ClosingPool
from nydus_redis.connection.host import BlockingHost
from nydus_redis.connection.lasting import free_lock, without_connecting
from nydus_redis.connection.link import link_of
from nydus_redis.connection.losses import PlainLosses, hidden_loss
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.pool import Connections, OwnConnections, waits_among
from nydus_redis.connection.pool_given import GivenConnections
from nydus_redis.connection.replies import (
    ANSWERS,
    FAILURES,
    REFUSALS,
    as_client_error,
    await_reply,
    may_get_pushes,
    read_plainly,
    read_reply,
    reader,
    says_full,
    says_goodbye,
    says_later,
)
from nydus_redis.connection.sockets import is_closed, shut
from nydus_redis.connection.writing import socket_of, write

if TYPE_CHECKING:
    from nydus_redis.connection.closing_aio import AsyncClosingPool
    from nydus_redis.connection.host_aio import AsyncHost
    from nydus_redis.connection.limit_aio import Limit
    from nydus_redis.connection.line_aio import Part, RedisLine, shows_its_streams
    from nydus_redis.connection.losses_aio import AsyncPlainLosses
    from nydus_redis.connection.pool_aio import PipelinePool, RedisConnector, heedful, waiting
    from nydus_redis.connection.replies_aio import async_read_reply, async_reader, push_reader, whole_answer
    from nydus_redis.connection.streams_aio import abort, async_write, interrupt, post
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_redis.connection.closing_aio": ["AsyncClosingPool"],
            "nydus_redis.connection.host_aio": ["AsyncHost"],
            "nydus_redis.connection.limit_aio": ["Limit"],
            "nydus_redis.connection.line_aio": ["Part", "RedisLine", "shows_its_streams"],
            "nydus_redis.connection.losses_aio": ["AsyncPlainLosses"],
            "nydus_redis.connection.pool_aio": ["PipelinePool", "RedisConnector", "heedful", "waiting"],
            "nydus_redis.connection.replies_aio": [
                "async_read_reply",
                "async_reader",
                "push_reader",
                "whole_answer",
            ],
            "nydus_redis.connection.streams_aio": ["abort", "async_write", "interrupt", "post"],
        },
    )

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
    "Part",
    "PipelinePool",
    "PlainLosses",
    "RedisConnector",
    "RedisLine",
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
    "link_of",
    "may_get_pushes",
    "post",
    "push_reader",
    "read_plainly",
    "read_reply",
    "reader",
    "says_full",
    "says_goodbye",
    "says_later",
    "shows_its_streams",
    "shut",
    "socket_of",
    "waiting",
    "waits_among",
    "whole_answer",
    "without_connecting",
    "write",
]
