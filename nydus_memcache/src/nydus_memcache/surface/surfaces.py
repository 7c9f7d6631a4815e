"""Makes surfaces: the objects with the methods that users call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.command import Dispatch
from nydus_core.drafts import Drafts
from nydus_memcache import options as host_options
from nydus_memcache.commands import Key
from nydus_memcache.surface.blocking import Surface
from nydus_memcache.surface.of_map import MapSurface

__all__ = ["Surfaces", "SurfacesBase"]


class SurfacesBase:
    """Makes surfaces: alike on both sides for ``map()`` blocks.

    Parameters:
        options: The options of each host.

    Raises:
        ConfigError: The hosts do not agree on how keys and values look.
    """

    def __init__(self, options: Sequence[Mapping[str, Any]]) -> None:
        self._wire = host_options.wire(options)

    def __call__(self, dispatch: Dispatch) -> Surface:
        """Make a surface whose calls end in a dispatch."""
        return Surface(dispatch, self._wire)

    def of_map(self, queue: Drafts) -> MapSurface:
        """Make the surface of a ``map()`` block, which queues drafts of commands: see ``nydus_core.drafts``."""
        return MapSurface(queue, self._wire)

    def key_of(self, key: Key) -> bytes:
        """Return a key as routers see it.

        Raises:
            IllegalKey: No server would take the key.
        """
        return self._wire.key(key)[0]


class Surfaces(SurfacesBase):
    """Makes surfaces for ``map()`` blocks and for blocking clusters. See ``SurfacesBase``."""
