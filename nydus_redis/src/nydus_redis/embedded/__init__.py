"""Hosts with a private server of their own, for tests and demos."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.embedded.blocking import Embedded
from nydus_redis.embedded.server import PrivateServer, find_server
from nydus_redis.embedded.supervised import ServerError

if TYPE_CHECKING:
    from nydus_redis.embedded.aio import AsyncEmbedded
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_redis.embedded.aio": ["AsyncEmbedded"]})

__all__ = [
    "AsyncEmbedded",
    "Embedded",
    "PrivateServer",
    "ServerError",
    "find_server",
]
