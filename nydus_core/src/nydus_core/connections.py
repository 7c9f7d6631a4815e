"""Named clusters for a whole program: configured once, and each built once, at first use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic

from nydus_core import create
from nydus_core.cluster import Cluster
from nydus_core.create import C, create_cluster
from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain
from nydus_core.readers import read_items
from nydus_core.settings import read_toml
from nydus_core.threads import Lock
from nydus_core.wording import nearest

if TYPE_CHECKING:
    from nydus_core.aio import AsyncCluster

__all__ = ["CONNECTIONS", "AsyncConnectionHandler", "LazyConnectionHandler", "configure", "connections"]


class _ClustersByName(Mapping[str, C], Generic[C]):
    """Clusters by name. Each is built once, at first use, however many threads ask.

    Parameters:
        settings: Returns the settings of all clusters, by name.
        create: Builds a cluster.
    """

    def __init__(self, settings: Callable[[], Mapping[str, Any]], create: Callable[[Any], C]) -> None:
        self._settings = settings
        self._create = create
        self._built: dict[str, C] = {}
        self._lock = Lock("clusters are being built")

    def __getitem__(self, name: str) -> C:
        """Return the cluster of that name.

        Raises:
            ConfigError: There is no such cluster (the error is also a ``KeyError``), or the settings are wrong.
        """
        found = self._built.get(name)
        if found is not None:
            return found
        with self._lock.again():
            if name not in self._built:
                built = self._build(name)
                if self._built.setdefault(name, built) is not built:  # a finalizer has come in between
                    built.retire()
            return self._built[name]

    def _build(self, name: str) -> C:
        known = self._settings()
        if name not in known:
            names = ", ".join(map(repr, known)) or "none; call nydus.conf.configure(CONNECTIONS=…) first"
            raise UnknownConnection(
                f"there is no cluster {name!r}; there is {names}{nearest(str(name), known)}"
            )
        try:
            return self._create(known[name])
        except ConfigError as error:
            raise error.under(f"CONNECTIONS[{name!r}]") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings())

    def __len__(self) -> int:
        return len(self._settings())

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a cluster of that name. None is built."""
        return name in self._settings()


class LazyConnectionHandler(_ClustersByName[Cluster]):
    """Clusters by name. Each is built once, at first use, however many threads ask.

    Parameters:
        settings: Returns the settings of all clusters, by name.

    Attributes:
        aio: The same clusters for asyncio: ``connections.aio[name]``.
    """

    def __init__(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(settings, create_cluster)
        self.aio = AsyncConnectionHandler(settings)

    def disconnect(self) -> None:
        """Close the connections of all clusters that were built. A later command opens new ones."""
        with self._lock.again():
            for cluster in self._built.values():
                cluster.close()

    def reload(self) -> None:
        """Close the clusters that were built, and forget them: each is built anew at its next use.

        Clusters for asyncio are closed as they fall out of use.
        """
        with self._lock.again():
            self.disconnect()
            self._built.clear()
        self.aio.reload()


def _for_asyncio(settings: Any) -> AsyncCluster:
    return create.create_async_cluster(settings)  # whose first use imports asyncio


class AsyncConnectionHandler(_ClustersByName["AsyncCluster"]):
    """Clusters for asyncio by name. Each is built once, at first use, and serves all event loops.

    Parameters:
        settings: Returns the settings of all clusters, by name.
    """

    def __init__(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(settings, _for_asyncio)

    async def aclose(self) -> None:
        """Close the connections of all clusters that were built. A later command opens new ones."""
        for cluster in list(self._built.values()):
            await cluster.aclose()

    disconnect = aclose

    def reload(self) -> None:
        """Forget the clusters that were built; their connections are closed as they fall out of use."""
        with self._lock.again():
            built = list(self._built.values())
            self._built.clear()
        for cluster in built:
            cluster.retire()


class UnknownConnection(ConfigError, KeyError):
    """There is no cluster of that name."""


#: The settings of all clusters, by name; ``configure`` fills it.
CONNECTIONS: dict[str, Any] = {}

#: The clusters of this process, by name.
connections = LazyConnectionHandler(lambda: CONNECTIONS)


def configure(settings: Mapping[str, Any] | None = None, /, **named: Any) -> None:
    """Configure the named clusters of this process. Clusters that were built before are closed and forgotten.

    Parameters:
        settings: The same as the keyword arguments, as a dict.
        named: ``CONNECTIONS``: the settings of each cluster, by name; or the path of a TOML file with a table for each.

    Raises:
        ConfigError: Another setting is given, or ``CONNECTIONS`` is neither a dict nor the path of a TOML file.
    """
    given = {**(settings or {}), **named}
    for name in given:
        if name != "CONNECTIONS":
            raise ConfigError(f"unknown setting; known: CONNECTIONS{nearest(name, ['CONNECTIONS'])}", name)
    wanted = given.get("CONNECTIONS", {})
    if is_a(wanted, str, os.PathLike):
        if not (wanted := plain(wanted)):
            raise ConfigError(
                "found an empty path; expected a dict of settings by name, or a path", "CONNECTIONS"
            )
        wanted = read_toml(wanted)
    if not is_a(wanted, Mapping):
        raise ConfigError(
            f"found {type(wanted).__name__}; expected a dict of settings by name", "CONNECTIONS"
        )
    wanted = dict(read_items(wanted, "CONNECTIONS", "a dict of settings by name"))
    CONNECTIONS.clear()
    CONNECTIONS.update(wanted)
    connections.reload()
