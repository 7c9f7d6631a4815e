"""Readers of the dicts and lists that a user writes. Each is read once: its own methods are the user's, and may raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain
from nydus_core.wording import shown, written

__all__ = ["read_dict", "read_items", "read_list"]


def read_dict(given: Any, path: str, expected: str) -> dict[str, Any]:
    """Read a dict of the settings, once. Its own methods are the user's, and may raise.

    Parameters:
        given: The dict, or another mapping.
        path: The place of the dict in the settings.
        expected: Words for what is expected in this place.

    Returns:
        A plain dict. Its keys are plain text.

    Raises:
        ConfigError: It is no mapping, or cannot be read, or a key is no text.
    """
    found: dict[str, Any] = {}
    for key, value in read_items(given, path, expected):
        if type(key) is not str:
            raise ConfigError("expected text for the name of a setting", f"{path}[{written(key)}]")
        found[key] = value
    return found


def read_items(given: Any, path: str, expected: str) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping in the settings, with plain keys. See ``read_dict``.

    Raises:
        ConfigError: It is no mapping, or cannot be read.
    """
    if not is_a(given, Mapping):
        raise ConfigError(f"found {shown(given)}; expected {expected}", path)
    try:
        pairs = dict.items(given) if is_a(given, dict) else [(key, given[key]) for key in given]
        return [(plain(key), value) for key, value in pairs]
    except Exception as error:
        raise ConfigError(
            f"the {type(given).__name__} cannot be read: {type(error).__name__}", path
        ) from error


def read_list(given: Any, path: str, expected: str) -> list[Any]:
    """Read a list of the settings, once.

    Parameters:
        given: The list, or another sequence; text and bytes are none.
        path: The place of the list in the settings.
        expected: Words for what is expected in this place.

    Raises:
        ConfigError: It is no sequence, or cannot be read.
    """
    if not is_a(given, Sequence) or is_a(given, str, bytes, bytearray, memoryview):
        raise ConfigError(f"found {shown(given)}; expected {expected}", path)
    try:
        if is_a(given, list):
            return list(list.__iter__(given))
        return list(tuple.__iter__(given)) if is_a(given, tuple) else list(given)
    except Exception as error:
        raise ConfigError(
            f"the {type(given).__name__} cannot be read: {type(error).__name__}", path
        ) from error
