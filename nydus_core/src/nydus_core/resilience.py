"""The settings about hosts that fail: ``retry``, ``health``, ``on_host_down``, ``on_readmit`` and ``deadline``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nydus_core import registry
from nydus_core.deadlines import is_time
from nydus_core.errors import ConfigError
from nydus_core.health import BreakerSettings
from nydus_core.hosts import refuse_unknown
from nydus_core.retry import Repeat, Retry, RetryPolicy

__all__ = ["RESILIENCE", "DeliverySettings", "Readmit", "read_resilience"]

#: What is done with a host before commands go there again: called with its name and a client of it.
Readmit = Callable[[str, Any], object]

#: The names of these settings.
RESILIENCE = ("retry", "health", "on_host_down", "on_readmit", "deadline")


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What a cluster does about hosts that fail.

    Attributes:
        retry: What may be tried again.
        health: When a host is taken for down, and when it is probed.
        on_host_down: ``'raise'``, or ``'reroute'`` to another host; None: as the router has it.
        on_readmit: ``'keep'`` the data of a host that is up again, ``'flush'`` them, or a function.
        deadline: Seconds that a call may take, over all attempts and hosts; None for no limit.
    """

    retry: RetryPolicy = field(default_factory=Retry)
    health: BreakerSettings = field(default_factory=BreakerSettings)
    on_host_down: str | None = None
    on_readmit: str | Readmit = "keep"
    deadline: float | None = None


def read_resilience(settings: Mapping[str, Any], engine: type[Any]) -> DeliverySettings:
    """Check these settings of a cluster.

    Parameters:
        settings: Those of the cluster.
        engine: The class that talks to a host.

    Raises:
        ConfigError: Something is unknown or wrong.
    """
    deadline = settings.get("deadline")
    if deadline is not None:
        _check(deadline, _SECONDS, "deadline")
    return DeliverySettings(
        _retry(settings.get("retry")),
        _health(settings.get("health")),
        _one_of(settings.get("on_host_down"), ("raise", "reroute"), "on_host_down"),
        _readmit(settings.get("on_readmit"), engine),
        deadline,
    )


# A kind of value: whether something is of it, and how to say so
_Kind = tuple[Callable[[Any], bool], str]


_COUNT: _Kind = (lambda value: type(value) is int and value >= 1, "a whole number, 1 or more")
_SECONDS: _Kind = (is_time, "seconds, more than 0")
_WAIT: _Kind = (
    lambda value: is_time(value) or (type(value) in (int, float) and value == 0),
    "seconds, 0 or more",
)
_SHARE: _Kind = (lambda value: is_time(value) and value <= 1, "a share, more than 0 and at most 1")

_RETRY: Mapping[str, _Kind] = {"attempts": _COUNT, "backoff": _WAIT, "most": _WAIT}
_HEALTH: Mapping[str, _Kind] = {
    "failures": _COUNT,
    "rate": _SHARE,
    "calls": _COUNT,
    "window": _SECONDS,
    "backoff": _SECONDS,
    "most": _SECONDS,
}


def _check(value: Any, kind: _Kind, path: str) -> None:
    fits, expected = kind
    if not fits(value):
        raise ConfigError(f"found {value!r}; expected {expected}", path)


def _options(given: Any, kinds: Mapping[str, _Kind], path: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"found {given!r}; expected a dict of options: {', '.join(kinds)}", path)
    options = {str(name): value for name, value in given.items()}
    refuse_unknown(options, list(kinds), path)
    for name, value in options.items():
        _check(value, kinds[name], f"{path}.{name}")
    return options


def _one_of(value: Any, known: tuple[str, ...], path: str) -> Any:
    if value is not None and value not in known:
        near = registry.nearest(value, known) if isinstance(value, str) else ""
        raise ConfigError(f"found {value!r}; expected one of {', '.join(map(repr, known))}{near}", path)
    return value


def _retry(given: Any) -> RetryPolicy:
    if given is None:
        return Retry()
    if isinstance(given, Mapping):
        repeats = tuple(repeat.value for repeat in Repeat)
        kinds = {
            **_RETRY,
            "repeat": (lambda value: value is not None, f"one of {', '.join(map(repr, repeats))}"),
        }
        options = _options(given, kinds, "retry")
        _one_of(options.get("repeat"), repeats, "retry.repeat")
        return Retry(**options)
    policy = given
    if isinstance(given, str | type):
        made = registry.find_class("", given, "retry")
        try:
            policy = made()
        except TypeError as error:
            raise ConfigError(
                f"{made.__qualname__} cannot be made without arguments: {error}", "retry"
            ) from error
    if not isinstance(policy, RetryPolicy):
        raise ConfigError(
            f"found {policy!r}; expected a dict of options, or a policy with repeats(command, outcome, attempt) and "
            "backoff(attempt)",
            "retry",
        )
    return policy


def _health(given: Any) -> BreakerSettings:
    if given is None:
        return BreakerSettings()
    return BreakerSettings(**_options(given, _HEALTH, "health"))


def _readmit(given: Any, engine: type[Any]) -> str | Readmit:
    if given is None:
        return "keep"
    if isinstance(given, str) and "." in given:
        given = registry.import_dotted(given, "on_readmit")
    if callable(given):
        if inspect.iscoroutinefunction(given) and not getattr(engine, "is_async", False):
            raise ConfigError(
                "found a coroutine function, which this cluster would not await; expected a plain one",
                "on_readmit",
            )
        function: Readmit = given
        return function
    _one_of(given, ("keep", "flush"), "on_readmit")
    if given == "flush" and not getattr(engine, "supports_flush", False):
        raise ConfigError(
            f"engine {engine.__name__} does not know how to delete all data of a host; give a function instead",
            "on_readmit",
        )
    return str(given)
