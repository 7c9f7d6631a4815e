"""Connections to a memcached host, and pools of them."""

from nydus_memcache.connection.connector import LinkConnector
from nydus_memcache.connection.connector_aio import MemcacheConnector
from nydus_memcache.connection.link import Address, Link
from nydus_memcache.connection.link_aio import AsyncLink

__all__ = [
    "Address",
    "AsyncLink",
    "Link",
    "LinkConnector",
    "MemcacheConnector",
]
