"""The memcached backend of Nydus, on pymemcache. ``Memcache`` talks to one host."""

from nydus_memcache.engine import Memcache
from nydus_memcache.errors import IllegalArgument, IllegalKey, UnreadableValue

__all__ = ["IllegalArgument", "IllegalKey", "Memcache", "UnreadableValue"]
