"""Plugins: names become classes, and hook plugins are told of clusters, commands and hosts."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_core.plugins.manager import Hooks, hooks, register, unregister
from nydus_core.plugins.registry import ENGINES, PLUGINS, ROUTERS, find_class, found, import_dotted
from nydus_core.plugins.uncalled import refuse_uncalled

if TYPE_CHECKING:
    from nydus_core.plugins.specs import hookimpl
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_core.plugins.specs": ["hookimpl"]})

__all__ = [
    "ENGINES",
    "PLUGINS",
    "ROUTERS",
    "Hooks",
    "find_class",
    "found",
    "hookimpl",
    "hooks",
    "import_dotted",
    "refuse_uncalled",
    "register",
    "unregister",
]
