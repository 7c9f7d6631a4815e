"""The methods that users call, blocking and with asyncio."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_memcache.surface.blocking import Surface
from nydus_memcache.surface.surfaces import Surfaces

if TYPE_CHECKING:
    from nydus_memcache.surface.aio import AsyncSurface, AsyncSurfaces
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_memcache.surface.aio": ["AsyncSurface", "AsyncSurfaces"]})

__all__ = [
    "AsyncSurface",
    "AsyncSurfaces",
    "Surface",
    "Surfaces",
]
