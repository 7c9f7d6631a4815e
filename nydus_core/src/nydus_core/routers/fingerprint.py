"""The fingerprint of a cluster, a short text for its placement of keys; and a guard against any other placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.routers.rules import differences, digest
from nydus_core.wording import written

__all__ = ["fingerprint_of", "guard", "has_fingerprint"]


def has_fingerprint(router: Any) -> bool:
    """Tell whether a router has a fingerprint. None, for a cluster without a router, has one."""
    return router is None or hasattr(router, "fingerprint")


def fingerprint_of(router: Any, names: Sequence[str]) -> str:
    """Return the fingerprint of a placement.

    Parameters:
        router: The router; None, if every command goes to all hosts.
        names: The names of the hosts.

    Raises:
        ConfigError: The router has no fingerprint.
    """
    if not has_fingerprint(router):
        raise ConfigError(
            f"{type(router).__name__} has no fingerprint: it may send each call where it likes", "router"
        )
    found: str = f"all:{digest(sorted(names))}" if router is None else router.fingerprint
    return found


def guard(router: Any, names: Sequence[str], expected: str | Mapping[str, Any]) -> None:
    """Refuse a placement that is not the expected one.

    Parameters:
        router: The router; None, if every command goes to all hosts.
        names: The names of the hosts.
        expected: A fingerprint, or a ``router.rule()``.

    Raises:
        ConfigError: The placement is another one. The error tells the differences, as far as they are known.
    """
    if isinstance(expected, str):
        _guard_fingerprint(router, names, expected)
        return
    rule = router.rule() if hasattr(router, "rule") else None
    if rule is None:
        raise ConfigError(f"{_named(router)} has no rule to compare; give a fingerprint", "fingerprint")
    try:
        changes = differences(expected, rule)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError("found no rule; expected what router.rule() returns", "fingerprint") from error
    if changes:
        raise ConfigError(f"keys do not live where they are expected to: {'; '.join(changes)}", "fingerprint")


def _guard_fingerprint(router: Any, names: Sequence[str], expected: str) -> None:
    found = fingerprint_of(router, names)
    if found == expected:
        return
    family, was = found.partition(":")[0], expected.partition(":")[0]
    difference = (
        f"the rule is {family!r}, expected {written(was)}"
        if family != was
        else "the hosts, weights or options differ"
    )
    raise ConfigError(
        f"keys do not live where they are expected to: found {found!r}, expected {written(expected)}; {difference}. The hosts are "
        f"{', '.join(names)}. To see what differs, guard with the router.rule() of the cluster that is right",
        "fingerprint",
    )


def _named(router: Any) -> str:
    return "a cluster without a router" if router is None else type(router).__name__
