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
from nydus_core.plain import is_a, plain
from nydus_core.plugins import find_class, import_dotted
from nydus_core.readers import read_dict
from nydus_core.wording import text_of, written

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
        deadline = check(deadline, SECONDS, "deadline")
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
    if not is_a(given, Mapping):
        raise ConfigError(f"found {written(given)}; expected a dict of options: {', '.join(known)}", path)
    options = read_dict(given, path, f"a dict of options: {', '.join(known)}")
    refuse_unknown(options, known, path)
    return check_each(options, checks, path)


def _on_host_down(given: Any) -> str | None:
    return None if given is None else one_of(given, ("raise", "reroute"), "on_host_down")


def _retry(given: Any) -> RetryPolicy:
    if given is None:
        return Retry()
    if is_a(given, Mapping):
        options = _options(given, _RETRY, "retry", "repeat")
        if "repeat" in options:
            options["repeat"] = one_of(options["repeat"], [repeat.value for repeat in Repeat], "retry.repeat")
        return Retry(**options)
    policy = given
    if is_a(given, str, type):
        made = find_class("", given, "retry")
        try:
            policy = made()
        except Exception as error:
            raise ConfigError(
                f"{made.__qualname__} cannot be made without arguments: {text_of(error)}", "retry"
            ) from error
    if not _is_policy(policy):
        raise ConfigError(
            f"found {written(policy)}; expected a dict of options, or a policy with repeats(command, outcome, attempt) and "
            "backoff(attempt)",
            "retry",
        )
    found: RetryPolicy = policy
    return found


def _is_policy(given: Any) -> bool:
    try:
        return isinstance(given, RetryPolicy) and not isinstance(given, type)
    except Exception:  # its own methods may raise
        return False


def _health(given: Any) -> BreakerSettings:
    if given is None:
        return BreakerSettings()
    return BreakerSettings(**_options(given, _HEALTH, "health"))


def _readmit(given: Any, engine: type[Any]) -> str | Readmit:
    if given is None:
        return "keep"
    given = plain(given)
    if type(given) is str and "." in given:
        given = import_dotted(given, "on_readmit")
    if callable(given):
        if inspect.iscoroutinefunction(given) and not getattr(engine, "is_async", False):
            raise ConfigError(
                "found a coroutine function, which this cluster would not await; expected a plain one",
                "on_readmit",
            )
        function: Readmit = given
        return function
    word = one_of(given, ("keep", "flush"), "on_readmit")
    if word == "flush" and not getattr(engine, "supports_flush", False):
        raise ConfigError(
            f"engine {engine.__name__} does not know how to delete all data of a host; give a function instead",
            "on_readmit",
        )
    return word
