"""Announcers: when a host is found down, or up again, the plugins are told, and the host is readmitted."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from nydus_core.engines import SurfaceFactory
from nydus_core.plugins import hooks

__all__ = ["Announcer", "AnnouncerBase", "Readmit"]

#: Is called with the name of a host and a client of it, before commands go there again.
Readmit = Callable[[str, Any], object]


class AnnouncerBase:
    """Listens to the watches of a cluster, on either side. Does not keep the cluster alive.

    Parameters:
        cluster: The cluster.
        make_surface: Makes its surfaces.
        on_readmit: How its data are treated before commands go there again: ``'keep'``, ``'flush'``, or a function.
    """

    def __init__(self, cluster: object, make_surface: SurfaceFactory, on_readmit: str | Readmit) -> None:
        self._cluster = weakref.ref(cluster)
        self._make_surface = make_surface
        self._on_readmit = on_readmit

    def host_down(self, host: str, cause: BaseException) -> None:
        """Tell the plugins that a host is taken for down."""
        self._announce("nydus_host_down", host=host, cause=cause)

    def readmit(self, host: str, engine: Any) -> Any:
        """Treat the data of a host that is up again as the settings say. With asyncio the call has to be awaited."""
        raise NotImplementedError

    def host_up(self, host: str) -> None:
        """Tell the plugins that commands go to a host again."""
        self._announce("nydus_host_up", host=host)

    def _announce(self, hook: str, **facts: Any) -> None:
        cluster = self._cluster()
        if cluster is not None and hooks.listens(hook):
            hooks.call(hook, cluster=cluster, **facts)


class Announcer(AnnouncerBase):
    """Tells plugins of hosts, and readmits hosts with blocking calls."""

    def readmit(self, host: str, engine: Any) -> Any:
        """Treat the data of a host that is up again as the settings say."""
        if callable(self._on_readmit):
            self._on_readmit(host, engine.client(self._make_surface, engine.call))
        elif self._on_readmit == "flush":
            engine.flush()
