"""From a name to a class: an entry-point name, a dotted path, or the class itself.

The entry points of the installed distributions are read only for a plain name, and only the entry point of that name
is loaded. The built-in routers and the backends of this project come in through the same door.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, cast

from nydus_core.errors import PluginError
from nydus_core.plain import is_a, plain
from nydus_core.wording import MOST_TOLD, nearest, shown, text_of, written

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint, EntryPoints

__all__ = ["ENGINES", "PLUGINS", "ROUTERS", "find_class", "found", "import_dotted"]

ENGINES = "nydus.engines"
ROUTERS = "nydus.routers"
PLUGINS = "nydus.plugins"

#: Names that are known to exist, and the distributions to install for them.
INSTALL = {
    (ENGINES, "redis"): "nydus-redis",
    (ENGINES, "valkey"): "nydus-redis",
    (ENGINES, "embedded"): "nydus-redis[embedded]",
    (ENGINES, "memcache"): "nydus-memcache",
}

_LIBMEMCACHED = ("libmemcached-modula", "libmemcached-ketama", "libmemcached-ketama-weighted")
#: Clients without a router of their name, and the routers that place keys as these clients do, by their settings.
#: The page *Coming from another client* of the documentation has the settings.
CLIENTS = {
    "clandestined": ("pymemcache",),
    "hashring": ("hash-ring", "libketama"),
    "ketama": ("libketama", "npm-ketama"),
    "libmemcached": _LIBMEMCACHED,
    "mcrouter": ("mcrouter-ch3", "mcrouter-crc32"),
    "meta-memcache": ("uhashring-meta", "twemproxy-modula"),
    "nameko-pymemcache": ("pymemcache",),
    "php-memcached": _LIBMEMCACHED,
    "pyketama": ("libketama",),
    "pylibmc": _LIBMEMCACHED,
    "python-binary-memcached": ("uhashring-meta",),
    "twemproxy": ("twemproxy-ketama", "twemproxy-modula"),
}

_KIND = {ENGINES: "engine", ROUTERS: "router", PLUGINS: "plugin"}


def find_class(group: str, reference: object, path: str) -> type:
    """Return the class that a setting names.

    Parameters:
        group: The entry-point group that plain names are looked up in; ``""`` allows none.
        reference: A class, a dotted path (``package.module.Class``), or an entry-point name.
        path: The place of the name in the settings, for the error.

    Raises:
        PluginError: The name is unknown, known but not installed, installed but broken, or claimed by two
            distributions; or the name does not lead to a class.
    """
    reference = plain(reference)
    if type(reference) is str and "://" in reference:
        raise PluginError("found a URL; expected a class, a dotted path or a name", path)
    if not is_a(reference, str, type):
        name = "a name, a dotted path or a class" if group else "a dotted path or a class"
        raise PluginError(f"found {shown(reference)}; expected {name}", path)
    named = _find(group, reference, path) if type(reference) is str else reference
    if is_a(named, ModuleType):
        classes = [name for name, value in vars(named).items() if isinstance(value, type) and name[:1] != "_"]
        example = f", such as {reference}.{classes[0]}" if classes else ""
        raise PluginError(
            f"found {written(reference)}, which is a module; expected a class in it{example}", path
        )
    if not is_a(named, type):
        raise PluginError(
            f"found {written(reference)}, which is of type {type(named).__name__}; expected a class", path
        )
    found_class: type = named  # type: ignore[assignment]  # is_a() has told
    return found_class


def _find(group: str, name: str, path: str) -> object:
    if "." in name or not group:
        return import_dotted(name.replace(":", "."), path)
    return _load(_choose(group, name, path), path)


def import_dotted(dotted: str, path: str) -> object:
    """Import ``package.module.attribute``.

    Parameters:
        dotted: The dotted path.
        path: The place of the dotted path in the settings, for the error.

    Raises:
        PluginError: There is no such module or attribute, or importing it fails.
    """
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name:
        raise PluginError(
            f"found {written(dotted)}; expected a class or a dotted path, package.module.Class", path
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PluginError(f"cannot import {written(dotted)}: {text_of(error)[:MOST_TOLD]}", path) from error
    except Exception as error:
        raise PluginError(
            f"importing {written(dotted)} failed: {type(error).__name__}: {text_of(error)[:MOST_TOLD]}", path
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [name for name in dir(module) if not name.startswith("_")]
        raise PluginError(
            f"module {written(module_name)} has no {written(attribute)}{nearest(attribute, public)}", path
        ) from None


def entry_points(group: str) -> Iterable[EntryPoint]:
    """Return the entry points of a group, of all installed distributions.

    The files of all distributions are read once, and again when ``sys.path`` or a folder on it has changed: a cluster looks up
    plugins, an engine and a router.
    """
    global _scan
    import importlib_metadata  # takes longer than all of this project

    places = (*map(_state_of, sys.path), *map(id, sys.meta_path))
    if _scan is None or _scan[0] != places:
        _scan = places, importlib_metadata.entry_points()
    return _scan[1].select(group=group)


#: The last scan: the places where it looked, and the entry points that it found.
_scan: tuple[tuple[object, ...], EntryPoints] | None = None


def _state_of(entry: str) -> tuple[str, int]:
    """Return an entry of ``sys.path`` with the time of its last change. An installer changes it."""
    try:
        return entry, os.stat(entry or ".").st_mtime_ns
    except OSError:
        return entry, 0


def found(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name, importing none of them.

    A name that two distributions claim has two entries. A name that one distribution's metadata repeat has one entry.
    """
    named: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        named.setdefault(point.name, []).append(point)
    return {name: _distinct(points) for name, points in sorted(named.items())}


def _distinct(points: list[EntryPoint]) -> list[EntryPoint]:
    if len(points) == 1:  # nearly always, and to read who brings it takes time
        return points
    found: dict[tuple[str, str], EntryPoint] = {}
    for point in points:
        found.setdefault((distribution(point), point.value), point)
    return list(found.values())


def distribution(point: EntryPoint) -> str:
    """Return the name of the distribution that an entry point comes from."""
    try:
        return str(cast("Distribution", point.dist).name)
    except Exception:  # an uninstaller has left entry_points.txt behind, and no metadata
        return "an unknown distribution"


def _choose(group: str, name: str, path: str) -> EntryPoint:
    kind = _KIND[group]
    known = found(group)
    points = known.get(name, [])
    if len(points) == 1:
        return points[0]
    if points:
        points = sorted(points, key=lambda point: (distribution(point), point.value))
        claims = " and ".join(f"{distribution(point)} ({point.value})" for point in points)
        dotted = points[0].value.replace(":", ".")
        raise PluginError(
            f"two distributions claim the {kind} name {name!r}: {claims}; give the dotted path of the one that "
            f"you mean, such as {dotted!r}",
            path,
        )
    if package := INSTALL.get((group, name)):
        raise PluginError(f"{kind} {name!r} is not installed: pip install {package}", path)
    if group == ROUTERS and name in CLIENTS:
        routers = " or ".join(map(repr, CLIENTS[name]))
        raise PluginError(
            f"no router is called {name!r}: it places keys as {routers}; the page 'Coming from another client' of the "
            "documentation has the settings",
            path,
        )
    names = sorted({*known, *(other for of, other in INSTALL if of == group)})
    raise PluginError(
        f"unknown {kind} {written(name)}; known: {', '.join(names)}{nearest(name, names)}", path
    )


def _load(point: EntryPoint, path: str) -> object:
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"{_KIND[point.group]} {point.name!r} of distribution {distribution(point)!r} ({point.value}) is broken: "
            f"{text_of(error, with_type=True)}",
            path,
        ) from error
