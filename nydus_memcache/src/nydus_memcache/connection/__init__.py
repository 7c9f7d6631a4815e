"""Connections to a memcached host, and pools of them."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_memcache.connection.connector import LinkConnector
from nydus_memcache.connection.link import Address, Link

if TYPE_CHECKING:
    from nydus_memcache.connection.connector_aio import MemcacheConnector
    from nydus_memcache.connection.line_aio import MemcacheLine
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_memcache.connection.connector_aio": ["MemcacheConnector"],
            "nydus_memcache.connection.line_aio": ["MemcacheLine"],
        },
    )

__all__ = [
    "Address",
    "Link",
    "LinkConnector",
    "MemcacheConnector",
    "MemcacheLine",
]
