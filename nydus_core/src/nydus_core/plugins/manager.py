"""The hook plugins of this process: found once, and called so that none can break another plugin or a command."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nydus_core.plugins import registry
from nydus_core.redaction import Redactor, redactor_of

if TYPE_CHECKING:
    import pluggy

__all__ = ["Hooks", "hooks", "register", "unregister"]

logger = logging.getLogger("nydus")


class Hooks:
    """The plugins that listen, by hook.

    A hook that no plugin implements costs nothing: ask ``listens(name)`` first, or leave that to ``call``.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a plugin may register others while it is imported
        self._loaded = False
        self._listeners: dict[str, list[tuple[str, Callable[..., Any]]]] = {}

    @cached_property
    def _manager(self) -> pluggy.PluginManager:
        """pluggy, which most programs need not import, because they have no plugin."""
        import pluggy

        from nydus_core.plugins import specs

        manager = pluggy.PluginManager("nydus")
        manager.add_hookspecs(specs)
        return manager

    def load(self) -> None:
        """Load the plugins of the entry-point group ``nydus.plugins``, once. Broken plugins are logged and left out."""
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            for name, points in registry.found(registry.PLUGINS).items():
                for point in points:
                    self._load_one(f"{name} ({registry.distribution(point)})", point)

    def _load_one(self, name: str, point: Any) -> None:
        try:
            self._add(point.load(), name)
        except Exception:
            logger.exception("plugin %s is broken and was left out: %s", name, point.value)

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add a plugin: a module or an object with hook implementations.

        Parameters:
            plugin: The plugin.
            name: The name for the log; by default the module or the class of the plugin.

        Raises:
            ValueError: The plugin is registered already, or has a hook that is unknown, a wrapper or a coroutine function.
        """
        with self._lock:
            self._add(plugin, name)

    def _add(self, plugin: object, name: str | None) -> None:
        from pluggy import PluginValidationError

        try:
            self._manager.register(plugin, name or self._name(plugin))
            self._manager.check_pending()
            self._refuse_never_run(plugin)
        except PluginValidationError as error:
            if self._manager.is_registered(plugin):  # older pluggy registers before it looks
                self._manager.unregister(plugin)
            raise ValueError(str(error)) from error
        self._index()

    def _name(self, plugin: object) -> str:
        """Return a name for the log. The second plugin of a kind has a number, too."""
        kind = type(plugin)
        name: str = getattr(plugin, "__name__", None) or f"{kind.__module__}.{kind.__qualname__}"
        taken = sum(self._manager.has_plugin(f"{name}{number}") for number in ("", *map(str, range(2, 1000))))
        return name if not taken else f"{name}{taken + 1}"

    def _refuse_never_run(self, plugin: object) -> None:
        from pluggy import PluginValidationError

        for hook in self._manager.get_hookcallers(plugin) or ():
            for impl in hook.get_hookimpls():
                why = _never_run(impl) if impl.plugin is plugin else None
                if why is not None:
                    message = f"{hook.name} of plugin {impl.plugin_name} is a {why}"
                    raise PluginValidationError(plugin, message)

    def unregister(self, plugin: object) -> None:
        """Take a plugin away again."""
        with self._lock:
            self._manager.unregister(plugin)
            self._index()

    def _index(self) -> None:
        listeners: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
        for hook in vars(self._manager.hook).values():
            for impl in reversed(hook.get_hookimpls()):
                listeners.setdefault(hook.name, []).append((impl.plugin_name, _accepting(impl)))
        self._listeners = listeners

    def listens(self, hook: str) -> bool:
        """Tell whether any plugin implements a hook."""
        return hook in self._listeners

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every plugin that implements it. An exception is logged, and other plugins still run."""
        for name, function in self._listeners.get(hook, ()):
            try:
                function(arguments)
            except Exception as error:
                _keep_secrets(error, arguments)
                logger.exception("plugin %s raised in %s", name, hook)


def _keep_secrets(error: Exception, arguments: Mapping[str, Any]) -> None:
    """Take the secrets of settings and hosts that a plugin was given out of its error, which is about to be logged."""
    settings, hosts = arguments.get("settings"), getattr(arguments.get("cluster"), "hosts", None)
    if isinstance(settings, Mapping):
        Redactor(settings).clean(error)
    for engine in hosts.values() if isinstance(hosts, Mapping) else ():
        redactor_of(engine).clean(error)


def _never_run(impl: pluggy.HookImpl) -> str | None:
    if impl.wrapper or impl.hookwrapper:
        return "wrapper; hooks cannot be wrapped"
    if inspect.iscoroutinefunction(impl.function):
        return "coroutine function; a hook is a plain function, also with asyncio, and may begin a task"
    return None


def _accepting(impl: pluggy.HookImpl) -> Callable[[dict[str, Any]], Any]:
    """Return a function that calls a hook implementation with only the arguments that it names."""
    return lambda arguments: impl.function(*(arguments[name] for name in impl.argnames))


#: The hooks of this process.
hooks = Hooks()
register = hooks.register
unregister = hooks.unregister
