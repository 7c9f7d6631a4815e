"""Commands of Redis: their keys, how they split over hosts, their bytes, and how their replies are read."""

from nydus_redis.commands.command import READING, BlockingCommand, RedisCommand, UnreadableReply
from nydus_redis.commands.table import CommandSpec, lookup, names
from nydus_redis.commands.wire import Wire

__all__ = [
    "READING",
    "BlockingCommand",
    "CommandSpec",
    "RedisCommand",
    "UnreadableReply",
    "Wire",
    "lookup",
    "names",
]
