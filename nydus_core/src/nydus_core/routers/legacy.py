"""Routers written for nydus 0.11: they see the call, and return the keys of the hosts that the call goes to.

A subclass of ``BaseRouter`` overrides ``get_dbs`` or ``_route``. It may look at the name of the call and at all
arguments, so it also serves rules that go beyond keys, such as reads to one host and writes to another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["UNCALLED", "UNCALLED_ROUND_ROBIN", "BaseRouter", "Hosts", "routing_params"]

_BY_CALL = "override locate(key, avoid) instead; or start from BaseRouter, which has get_dbs() and _route() as in nydus 0.11"
_BY_HEALTH = (
    "the setting 'health' says when a host is taken for down, and 'on_host_down' whether another one is taken"
)

#: Methods of the routers of nydus 0.11 that nobody calls any more, each with the remedy of who overrides it.
UNCALLED: Mapping[str, str] = dict.fromkeys(
    (
        *("get_dbs", "get_db", "setup_router", "_setup_router"),
        *("_pre_routing", "_route", "_post_routing", "_handle_exception"),
    ),
    _BY_CALL,
) | {"retryable": _BY_HEALTH}

#: The same of ``RoundRobinRouter`` and its subclasses, with the attributes about hosts that are down.
UNCALLED_ROUND_ROBIN: Mapping[str, str] = {**UNCALLED} | dict.fromkeys(
    (
        *("check_down_connections", "flush_down_connections", "mark_connection_down", "mark_connection_up"),
        *("ensure_db_num", "attempt_reconnect_threshold", "retry_timeout"),
    ),
    _BY_HEALTH,
)


class Hosts(Protocol):
    """A cluster, as a router written for nydus 0.11 sees it."""

    @property
    def hosts(self) -> Mapping[Any, Any]:
        """The hosts by their keys in the settings, in host order."""
        ...

    def __len__(self) -> int: ...


def routing_params(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a routing method so that it may be called without ``args`` and ``kwargs``.

    The method is called with keyword arguments only. Missing or None, ``args`` is ``()`` and ``kwargs`` is ``{}``.
    """

    @functools.wraps(func)
    def wrapped(*positional: Any, **params: Any) -> Any:
        if params.get("args") is None:
            params["args"] = ()
        if params.get("kwargs") is None:
            params["kwargs"] = {}
        return func(*positional, **params)

    return wrapped


class BaseRouter:
    """Base of the routers of nydus 0.11. On its own it sends every call to all hosts.

    Parameters:
        cluster: The cluster; its ``hosts`` map keys to hosts. Extra arguments are accepted and ignored.
    """

    retryable = False

    class UnableToSetupRouter(Exception):
        """``setup_router`` answered that the router is not ready."""

    def __init__(self, cluster: Hosts | None = None, *args: Any, **kwargs: Any) -> None:
        self._ready = False
        self.cluster = cluster

    @routing_params
    def get_dbs(self, attr: str, args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any) -> list[Any]:
        """Return the keys of the hosts that a call goes to.

        Parameters:
            attr: The name of the call.
            args: The positional arguments.
            kwargs: The keyword arguments.

        Returns:
            Keys of ``cluster.hosts``; all keys if the call has no arguments.

        Raises:
            UnableToSetupRouter: ``setup_router`` answered that the router is not ready.
        """
        if not self._ready and not self.setup_router(args=args, kwargs=kwargs, **fkwargs):
            raise self.UnableToSetupRouter(f"{type(self).__name__} could not set itself up")
        changed = self._pre_routing(attr=attr, args=args, kwargs=kwargs, **fkwargs)
        if changed is not None:
            args, kwargs = changed
        if not (args or kwargs):
            return self._all()
        try:
            found = self._route(attr=attr, args=args, kwargs=kwargs, **fkwargs)
        except Exception as error:
            self._handle_exception(error)
            found = []
        return list(self._post_routing(attr=attr, db_nums=found, args=args, kwargs=kwargs, **fkwargs))

    get_db = get_dbs

    @routing_params
    def setup_router(self, args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any) -> bool:
        """Set the router up; called once, before the first call is routed."""
        self._ready = bool(self._setup_router(args=args, kwargs=kwargs, **fkwargs))
        return self._ready

    def _setup_router(self, args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any) -> bool:
        """Do the work of ``setup_router``; return whether the router is ready."""
        return True

    def _pre_routing(
        self, attr: str, args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any
    ) -> tuple[Sequence[Any], dict[str, Any]] | None:
        """Look at a call before it is routed; return other arguments to route by, or None."""
        return args, kwargs

    def _route(self, attr: str, args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any) -> list[Any]:
        """Return the keys of the hosts that a call with arguments goes to."""
        return self._all()

    def _post_routing(
        self, attr: str, db_nums: list[Any], args: Sequence[Any], kwargs: dict[str, Any], **fkwargs: Any
    ) -> list[Any]:
        """Look at the keys that were found; return the keys to use."""
        return db_nums

    def _handle_exception(self, e: Exception) -> None:
        """Handle an exception of ``_route``; by default raise it again."""
        raise e

    def _all(self) -> list[Any]:
        return list(self.cluster.hosts) if self.cluster is not None else []
