"""The methods that users await: the same as with blocking calls, on the cluster and on one host.

A ``map()`` block works on the blocking ``Surface``, because it only queues commands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, NoReturn, ParamSpec, cast

from nydus_core.command import Dispatch
from nydus_memcache.commands import Wire
from nydus_memcache.surface.blocking import Surface, no_such_command
from nydus_memcache.surface.surfaces import SurfacesBase

__all__ = ["AsyncSurface", "AsyncSurfaces"]

P = ParamSpec("P")


def _awaited(
    method: Callable[Concatenate[Surface, P], Any],
) -> Callable[Concatenate[AsyncSurface, P], Coroutine[Any, Any, Any]]:
    """Make a coroutine function of a method. Its errors are raised when the coroutine is awaited."""

    @functools.wraps(method)
    async def awaited(self: AsyncSurface, *args: P.args, **kwargs: P.kwargs) -> Any:
        return await method(self._commands, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[AsyncSurface, P], Coroutine[Any, Any, Any]]", awaited)


class AsyncSurface:
    """The commands of memcached, to be awaited; see ``Surface`` for their meaning.

    Parameters:
        dispatch: Called with each command. Its return value is awaited.
        wire: Makes the commands.
    """

    def __init__(self, dispatch: Dispatch, wire: Wire) -> None:
        self._commands = Surface(dispatch, wire)

    get = _awaited(Surface.get)
    gets = _awaited(Surface.gets)
    get_many = _awaited(Surface.get_many)
    gets_many = _awaited(Surface.gets_many)
    set = _awaited(Surface.set)
    add = _awaited(Surface.add)
    replace = _awaited(Surface.replace)
    append = _awaited(Surface.append)
    prepend = _awaited(Surface.prepend)
    cas = _awaited(Surface.cas)
    set_many = _awaited(Surface.set_many)
    incr = _awaited(Surface.incr)
    decr = _awaited(Surface.decr)
    touch = _awaited(Surface.touch)
    delete = _awaited(Surface.delete)
    delete_many = _awaited(Surface.delete_many)
    get_multi = get_many
    set_multi = set_many
    delete_multi = delete_many
    stats = _awaited(Surface.stats)
    version = _awaited(Surface.version)
    flush_all = _awaited(Surface.flush_all)
    cache_memlimit = _awaited(Surface.cache_memlimit)
    quit = _awaited(Surface.quit)
    shutdown = _awaited(Surface.shutdown)
    raw_command = _awaited(Surface.raw_command)

    def __getattr__(self, name: str) -> NoReturn:
        raise no_such_command(name, self)


class AsyncSurfaces(SurfacesBase):
    """Makes surfaces: ``Surface`` for ``map()`` blocks, and with ``of_cluster`` an ``AsyncSurface``. See ``SurfacesBase``."""

    def of_cluster(self, cluster: Any, dispatch: Dispatch) -> AsyncSurface:
        """Make a surface whose methods are awaited."""
        return AsyncSurface(dispatch, self._wire)
