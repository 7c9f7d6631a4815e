"""The methods that users call, blocking and with asyncio."""

from nydus_memcache.surface.aio import AsyncSurface, AsyncSurfaces
from nydus_memcache.surface.blocking import Surface, Surfaces

__all__ = [
    "AsyncSurface",
    "AsyncSurfaces",
    "Surface",
    "Surfaces",
]
