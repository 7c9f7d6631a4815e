"""Commands of memcached: how commands are written and split over hosts, and how answers are read."""

from nydus_memcache.commands.arguments import LEGAL_KEY, count, expiry
from nydus_memcache.commands.command import Key, MemcacheCommand, Plain, Shutdown
from nydus_memcache.commands.fetches import Fetch, FetchMany, FetchOne, request_for
from nydus_memcache.commands.forms import FetchForm, LineForm
from nydus_memcache.commands.items import read_items
from nydus_memcache.commands.replies import read_answers
from nydus_memcache.commands.serde import Load, PickleSerde, PlainSerde, Serde
from nydus_memcache.commands.source import Source
from nydus_memcache.commands.tokens import CasToken
from nydus_memcache.commands.wire import Wire

__all__ = [
    "LEGAL_KEY",
    "CasToken",
    "Fetch",
    "FetchForm",
    "FetchMany",
    "FetchOne",
    "Key",
    "LineForm",
    "Load",
    "MemcacheCommand",
    "PickleSerde",
    "Plain",
    "PlainSerde",
    "Serde",
    "Shutdown",
    "Source",
    "Wire",
    "count",
    "expiry",
    "read_answers",
    "read_items",
    "request_for",
]
