"""The methods that users call, blocking and with asyncio."""

from nydus_memcache.surface.aio import AsyncSurface, AsyncSurfaces
from nydus_memcache.surface.blocking import Surface

__all__ = [
    "AsyncSurface",
    "AsyncSurfaces",
    "Surface",
]
