"""Hosts with a private server of their own, for tests and demos."""

from nydus_redis.embedded.aio import AsyncEmbedded
from nydus_redis.embedded.blocking import Embedded
from nydus_redis.embedded.server import PrivateServer, find_server
from nydus_redis.embedded.supervised import ServerError

__all__ = [
    "AsyncEmbedded",
    "Embedded",
    "PrivateServer",
    "ServerError",
    "find_server",
]
