"""Names that a face hands on without importing their modules: a module is imported when one of its names is first used.

``from room import Name``, ``room.Name``, ``dir(room)`` and pickles are the same as for a name that is there from the start.
Type checkers do not run this: the face has the same names in a block of ``if TYPE_CHECKING``, and ``tests/test_lazy.py``
compares the two. That test also has the list of modules that are not to be imported early, with the reasons.

Once found, a name is a plain attribute of the face, so nothing is looked up here again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["lazy", "register_former"]


def lazy(
    face: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions ``__getattr__`` and ``__dir__`` of a face.

    Threads may use a name for the first time together: the import system lets one of them import the module.

    Parameters:
        face: The ``__name__`` of the face.
        homes: The modules, each with the names that come from it. A module inside the face can be used as an attribute of
            the face, too.

    Returns:
        ``__getattr__``, which imports, and ``__dir__``, which does not.
    """
    namespace = vars(sys.modules[face])
    home_of = {name: home for home, names in homes.items() for name in names}
    inside = {home.rpartition(".")[2]: home for home in homes if home.rpartition(".")[0] == face}

    def find(name: str) -> Any:
        if name in home_of:
            value = namespace[name] = getattr(import_module(home_of[name]), name)
            return value
        if name in inside:
            return import_module(inside[name])
        raise AttributeError(f"module {face!r} has no attribute {name!r}", name=name, obj=sys.modules[face])

    def names() -> list[str]:
        return sorted({*namespace, *home_of, *inside})

    return find, names


def register_former(package: str, rooms: Mapping[str, str]) -> None:
    """Let modules be imported under former names. Such a module has the names of the room that they moved to.

    Parameters:
        package: The package of the modules.
        rooms: The former names of the modules, each with the room, both relative to the package.
    """
    for former, room in rooms.items():
        name = f"{package}.{former}"
        module: Any = ModuleType(name, f"A former name of ``{package}.{room}``.")
        module.__spec__ = ModuleSpec(name, None)
        module.__getattr__ = _names_of(f"{package}.{room}", name)
        sys.modules[name] = vars(sys.modules[package])[former] = module


def _names_of(room: str, former: str) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        if name.startswith("__"):  # tools ask every module for such names, and that should import nothing
            raise AttributeError(f"module {former!r} has no attribute {name!r}")
        return getattr(import_module(room), name)

    return find
