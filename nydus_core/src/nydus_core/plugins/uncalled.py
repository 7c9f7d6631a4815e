"""Classes written for nydus 0.11: what they define and nobody calls any more is refused, so that nothing ends in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nydus_core.errors import ConfigError

__all__ = ["refuse_uncalled"]


def refuse_uncalled(kind: type[Any], path: str, instead: str = "") -> None:
    """Refuse a class that defines what its parent had in nydus 0.11, and nobody looks at any more.

    The names are in the attribute ``uncalled`` of the parent, each with the remedy.

    Parameters:
        kind: The class.
        path: The place of its name in the settings.
        instead: The method in whose place these are no longer called. A class with its own is written for today.

    Raises:
        ConfigError: The class defines such a name.
    """
    uncalled: Mapping[str, str] = getattr(kind, "uncalled", {})
    for parent in kind.__mro__:
        if "uncalled" in vars(parent) or instead in vars(parent):
            return
        for name, remedy in uncalled.items():
            if name in vars(parent):
                shown = f"{name}()" if callable(getattr(kind, name)) else name
                raise ConfigError(
                    f"{parent.__qualname__} defines {shown}, which nydus 0.11 used and nobody uses any more: {remedy}",
                    path,
                )
