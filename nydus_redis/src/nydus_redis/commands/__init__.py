"""Commands of Redis: the keys, how a command splits over hosts, the bytes, and how a reply is read."""

from nydus_redis.commands.arguments import sendable
from nydus_redis.commands.command import READING, BlockingCommand, RedisCommand, UnreadableReply
from nydus_redis.commands.cursors import Cursor, CursorCommand
from nydus_redis.commands.drafting import PLAINLY, DraftingSurface
from nydus_redis.commands.gate import OF_PIPELINES, need_no_connection
from nydus_redis.commands.packing import pack_all
from nydus_redis.commands.table import CommandSpec, lookup, names
from nydus_redis.commands.wire import Wire

__all__ = [
    "OF_PIPELINES",
    "PLAINLY",
    "READING",
    "BlockingCommand",
    "CommandSpec",
    "Cursor",
    "CursorCommand",
    "DraftingSurface",
    "RedisCommand",
    "UnreadableReply",
    "Wire",
    "lookup",
    "names",
    "need_no_connection",
    "pack_all",
    "sendable",
]
