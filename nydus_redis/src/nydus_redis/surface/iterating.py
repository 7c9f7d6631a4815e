"""``hscan_iter`` and its like, for clusters and for hosts, on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nydus_core.engines import name_of, named_as_called
from nydus_redis.surface.scanning import OneHost

__all__ = ["Iterating", "IteratingOverHost"]


@named_as_called
class Iterating:
    """Methods that iterate over the members of a key. Each side names its own class for the iterations."""

    hscan: Callable[..., Any]
    sscan: Callable[..., Any]
    zscan: Callable[..., Any]
    #: Makes an iteration.
    nydus_key_scans: Callable[..., Any]

    def nydus_hosts(self) -> Any:
        """Return the cluster, or ``OneHost``."""
        raise NotImplementedError

    def hscan_iter(
        self, name: Any, match: Any = None, count: int | None = None, no_values: bool | None = None
    ) -> Any:
        """Iterate over the pairs of field and value of a hash.

        All pages come from the host that gave the first. If that server is restarted, the iteration begins anew.

        Parameters:
            name: The key.
            match: Only fields that match this pattern.
            count: About how many fields the server looks at for one request.
            no_values: Iterate over the fields alone.

        Raises:
            HostDown: By an item: the host is down, and no other one understands the cursor.
            ForeignWordError: By an item: the key has another host now. Begin anew.
            RoutingError: By the first item: the command went to several hosts, each of which has a cursor of its own.
        """
        items = iter if no_values else dict.items
        return self._nydus_over(self.hscan, name, items, match=match, count=count, no_values=no_values)

    def sscan_iter(self, name: Any, match: Any = None, count: int | None = None) -> Any:
        """Iterate over the members of a set. See ``hscan_iter``."""
        return self._nydus_over(self.sscan, name, iter, match=match, count=count)

    def zscan_iter(
        self, name: Any, match: Any = None, count: int | None = None, score_cast_func: Any = float
    ) -> Any:
        """Iterate over the pairs of member and score of a sorted set. See ``hscan_iter``.

        Parameters:
            name: The key.
            match: Only members that match this pattern.
            count: About how many members the server looks at for one request.
            score_cast_func: Makes the score of the server's text.
        """
        return self._nydus_over(
            self.zscan, name, iter, match=match, count=count, score_cast_func=score_cast_func
        )

    def _nydus_over(
        self, pages: Callable[..., Any], name: Any, items: Callable[[Any], Any], **options: Any
    ) -> Any:
        return self.nydus_key_scans(self.nydus_hosts(), pages, name, items, **options)


@named_as_called
class IteratingOverHost(Iterating):
    """The same for the client of one host, with the iteration over its keys."""

    nydus_engine: Any
    #: Makes an iteration over keys.
    nydus_scans: Callable[..., Any]

    def nydus_hosts(self) -> OneHost:
        """Return this host, for iterations."""
        return OneHost(name_of(self.nydus_engine), self)

    def scan_iter(
        self, match: Any = None, count: int | None = None, _type: str | None = None, **kwargs: Any
    ) -> Any:
        """Iterate over the keys of this host. If the server is restarted, the iteration begins anew. See redis-py."""
        return self.nydus_scans(self.nydus_hosts(), match, count, _type, **kwargs)
