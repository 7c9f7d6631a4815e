"""The front door for asyncio. Its import brings asyncio, so it is imported when it is first used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nydus_core.aio import AsyncCluster
from nydus_core.create.building import build

__all__ = ["create_async_cluster"]


def create_async_cluster(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None
) -> AsyncCluster:
    """Build a cluster for asyncio. No host is connected to before the first command.

    ::

        async with create_async_cluster({...}) as cluster:
            await cluster.incr("foo")

    The cluster may be built before any event loop runs, and may serve several, one after the other or each in a thread.

    Parameters:
        settings: As for ``create_cluster``, with the same meaning. ``cluster`` names a subclass of ``AsyncCluster``;
            the function of ``on_readmit`` is given an asynchronous client, and may be a coroutine function.
        name: The name of the cluster in the TOML file.

    Returns:
        The cluster.

    Raises:
        ConfigError: Something in the settings is unknown, missing or wrong, or the engine has no side for
            asyncio. The error says where.
    """
    return build(settings, name, AsyncCluster, asynchronous=True)
