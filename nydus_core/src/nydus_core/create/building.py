"""Both sides: a cluster is built from settings, and the plugins are told."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from nydus_core.checks import SettingsWarning
from nydus_core.cluster import ClusterBase
from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain
from nydus_core.plugins import hooks
from nydus_core.readers import read_items
from nydus_core.settings import Blueprint, ClusterSettings, read_settings, read_toml
from nydus_core.threads import refuse_eventlet
from nydus_core.wording import nearest, text_of, written

__all__ = ["C", "build"]

#: The kind of a cluster.
C = TypeVar("C", bound=ClusterBase[Any])


def build(
    settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None, kind: type[C], asynchronous: bool
) -> C:
    """Build a cluster.

    Parameters:
        settings: The settings, or the path of a TOML file with named clusters.
        name: The name of the cluster in the TOML file.
        kind: The class of the cluster, if the settings name none.
        asynchronous: Whether it is the side for asyncio.

    Returns:
        The cluster.

    Raises:
        ConfigError: Something in the settings is unknown, missing or wrong, or the engine has no such side.
    """
    refuse_eventlet()
    where = ""
    if is_a(settings, str, os.PathLike):
        settings, where = _named(plain(settings), name)
    elif name is not None:
        raise ConfigError(
            f"found the name {written(name)} beside a dict of settings; names are for TOML files"
        )
    hooks.load()
    given: Any = settings
    if hooks.listens("nydus_configure"):
        given = _copied(settings)
        hooks.call("nydus_configure", settings=given)
    try:
        cluster = _build(read_settings(given, asynchronous=asynchronous), kind)
    except ConfigError as error:
        if where:
            raise error.under(where) from error
        raise
    hooks.call("nydus_cluster_created", cluster=cluster)
    return cluster


def _named(path: str | os.PathLike[str], name: str | None) -> tuple[dict[str, Any], str]:
    try:
        path = os.fspath(path)
    except Exception as error:
        raise ConfigError(
            f"found {type(path).__name__}; expected a dict, or the path of a TOML file"
        ) from error
    name = plain(name)
    if not (name is None or type(name) is str):
        raise ConfigError(f"found the name {written(name)}; expected the name of a cluster, as text")
    if "://" in str(path):
        raise ConfigError(
            "found a URL; expected a dict of settings, such as {'engine': 'redis', 'hosts': [the URL]}, or the path of a "
            "TOML file"
        )
    tables = read_toml(path)
    if name is None or name not in tables:
        problem = "no name was given" if name is None else f"it has no cluster {written(name)}"
        raise ConfigError(
            f"{problem}; it has: {', '.join(tables) or 'none'}{nearest(name or '', tables)}", str(path)
        )
    return tables[name], f"{os.fspath(path)}: {name}"


def _build(settings: ClusterSettings, kind: type[C]) -> C:
    blueprint = Blueprint(settings)
    engines = {key: blueprint.engine(key) for key in blueprint.hosts}
    cluster_class: type[Any] = kind if settings.cluster is None else settings.cluster
    if not issubclass(cluster_class, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ConfigError(
            f"{cluster_class.__qualname__} is not {article} {kind.__name__}; expected a subclass", "cluster"
        )
    surface = blueprint.surface()
    try:
        cluster: C = cluster_class(engines, surface, settings.delivery)
    except Exception as error:
        if settings.cluster is None or isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{cluster_class.__qualname__} cannot be made: {text_of(error)}", "cluster"
        ) from error
    try:
        cluster.install_router(blueprint.router(cluster, engines), blueprint)
        if settings.fingerprint is not None:
            cluster.guard(settings.fingerprint)
        for doubt in blueprint.doubts(engines):
            warnings.warn(doubt, SettingsWarning, stacklevel=4)
    except BaseException:
        for engine in engines.values():
            engine.retire()  # an engine may have begun something: the embedded engine starts a server
        raise
    return cluster


def _copied(value: Any, depth: int = 0) -> Any:
    """Copy dicts and lists, but not the user's objects in them, such as pools and classes. Settings are not nested deeply."""
    if depth > _DEEPEST:
        return value
    if type(value) is dict:
        return {key: _copied(each, depth + 1) for key, each in value.items()}
    if is_a(value, Mapping):
        return dict(read_items(value, "", "a dict"))
    return [_copied(each, depth + 1) for each in value] if type(value) is list else value


_DEEPEST = 20
