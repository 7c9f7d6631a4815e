"""Checks of a host's options that engines share. Each engine says what it refuses, and which values make sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError

__all__ = ["AT_MOST", "HOST", "PORT", "SECONDS", "Range", "agreed", "check_ranges", "refuse"]

#: Whether a value makes sense where its type does not tell, and what is expected.
Range = tuple[Callable[[Any], bool], str]

HOST: Range = (bool, "a name or an address")
PORT: Range = (lambda port: 0 < port < 65536, "a port, 1 to 65535")
SECONDS: Range = (
    lambda seconds: seconds is None or 0 < seconds <= 1_000_000,
    "seconds, more than 0, or None for no limit",
)
AT_MOST: Range = (lambda most: most is None or most > 0, "1 or more, or None")


def refuse(options: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse options that would undo what a cluster promises.

    Parameters:
        options: The options of a host.
        refused: Why, by the name of the option. One that is off or None does no harm.

    Raises:
        ConfigError: One of them is set.
    """
    for name, why in refused.items():
        if options.get(name):
            raise ConfigError(f"{name!r} is not for a host of a cluster: {why}", name)


def check_ranges(options: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Check that values make sense.

    Raises:
        ConfigError: One does not.
    """
    for name, (fits, expected) in ranges.items():
        if name in options and not fits(options[name]):
            raise ConfigError(f"found {options[name]!r}; expected {expected}", name)


def agreed(options: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what all hosts have, since one surface serves them all.

    Parameters:
        options: For each host those options that decide how its commands and answers look.

    Raises:
        ConfigError: The hosts do not agree.
    """
    first, *others = options
    for other in others:
        for name in (*first, *other):
            if first.get(name) != other.get(name):
                raise ConfigError(
                    f"found {first.get(name)!r} and {other.get(name)!r}; all hosts of a cluster must have one "
                    f"{name}: set it in 'defaults'",
                    "hosts",
                )
    return first
