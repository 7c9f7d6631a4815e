"""Values that are written as text, such as the options in a URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.wording import shown

__all__ = ["from_text"]


def from_text(text: str, kinds: Sequence[type], path: str) -> Any:
    """Return the value that a text stands for, such as the text of an option in a URL.

    Parameters:
        text: The text.
        kinds: The types that will do. Text wins, then come truth values, whole numbers and other numbers.
        path: The place of the text in the settings.

    Raises:
        ConfigError: The text stands for no value of these types.
    """
    if str in kinds or not {bool, int, float}.intersection(kinds):
        return text
    if type(None) in kinds and text.lower() == "none":
        return None
    if bool in kinds and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                pass
    expected = " or ".join(words for kind, words in _IN_WORDS.items() if kind in kinds)
    raise ConfigError(f"found {shown(text, path.rpartition('.')[2])}; expected {expected}", path)


_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
