"""The settings about hosts that fail: ``retry``, ``health``, ``on_host_down``, ``on_readmit`` and ``deadline``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nydus_core.checks import (
    COUNT,
    SECONDS,
    SECONDS_OR_ZERO,
    SHARE,
    Check,
    check,
    check_each,
    one_of,
    refuse_unknown,
)
from nydus_core.delivery import DeliverySettings, Repeat, Retry, RetryPolicy
from nydus_core.errors import ConfigError
from nydus_core.health import BreakerSettings, Readmit
from nydus_core.plugins import find_class, import_dotted

__all__ = ["RESILIENCE", "read_resilience"]

#: The names of the settings about hosts that fail.
RESILIENCE = ("retry", "health", "on_host_down", "on_readmit", "deadline")


def read_resilience(settings: Mapping[str, Any], engine: type[Any]) -> DeliverySettings:
    """Check the settings about hosts that fail.

    Parameters:
        settings: The settings of the cluster.
        engine: The class that talks to a host.

    Raises:
        ConfigError: Something is unknown or wrong.
    """
    deadline = settings.get("deadline")
    if deadline is not None:
        check(deadline, SECONDS, "deadline")
    return DeliverySettings(
        _retry(settings.get("retry")),
        _health(settings.get("health")),
        _on_host_down(settings.get("on_host_down")),
        _readmit(settings.get("on_readmit"), engine),
        deadline,
    )


_RETRY: Mapping[str, Check] = {"attempts": COUNT, "backoff": SECONDS_OR_ZERO, "most": SECONDS_OR_ZERO}
_HEALTH: Mapping[str, Check] = {
    "failures": COUNT,
    "rate": SHARE,
    "calls": COUNT,
    "window": SECONDS,
    "backoff": SECONDS,
    "most": SECONDS,
}


def _options(given: Any, checks: Mapping[str, Check], path: str, *words: str) -> dict[str, Any]:
    """Return the options of a dict, checked, except those named in ``words``."""
    known = (*checks, *words)
    if not isinstance(given, Mapping):
        raise ConfigError(f"found {given!r}; expected a dict of options: {', '.join(known)}", path)
    options = {str(name): value for name, value in given.items()}
    refuse_unknown(options, known, path)
    check_each(options, checks, path)
    return options


def _on_host_down(given: Any) -> str | None:
    if given is not None:
        one_of(given, ("raise", "reroute"), "on_host_down")
    word: str | None = given  # as it is: the str() of a member of an Enum is another word
    return word


def _retry(given: Any) -> RetryPolicy:
    if given is None:
        return Retry()
    if isinstance(given, Mapping):
        options = _options(given, _RETRY, "retry", "repeat")
        if "repeat" in options:
            one_of(options["repeat"], [repeat.value for repeat in Repeat], "retry.repeat")
        return Retry(**options)
    policy = given
    if isinstance(given, str | type):
        made = find_class("", given, "retry")
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
        given = import_dotted(given, "on_readmit")
    if callable(given):
        if inspect.iscoroutinefunction(given) and not getattr(engine, "is_async", False):
            raise ConfigError(
                "found a coroutine function, which this cluster would not await; expected a plain one",
                "on_readmit",
            )
        function: Readmit = given
        return function
    one_of(given, ("keep", "flush"), "on_readmit")
    if given == "flush" and not getattr(engine, "supports_flush", False):
        raise ConfigError(
            f"engine {engine.__name__} does not know how to delete all data of a host; give a function instead",
            "on_readmit",
        )
    word: str = given  # not its str(): see _on_host_down
    return word
