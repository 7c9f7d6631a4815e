"""Words for errors: what a user wrote, the nearest name, and an error from below. Nothing here raises, or shows a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from nydus_core.plain import is_a, plain
from nydus_core.redaction import looks_secret

__all__ = ["MOST_TOLD", "MOST_WRITTEN", "nearest", "shown", "text_of", "without_secrets", "written"]

#: Characters that are shown of a value.
MOST_WRITTEN = 200

#: Characters that are shown of the text of an error from below.
MOST_TOLD = 500


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty text if no name is near."""
    if len(name) > MOST_WRITTEN:
        return ""
    try:
        import difflib
    except ImportError:  # at the end of the interpreter nothing more is imported
        return ""
    words = [word for word in known if is_a(word, str)]
    close: Sequence[str] = difflib.get_close_matches(name, words, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def written(value: Any) -> str:
    """Return the text for a value in an error: its ``repr``, cut where it is long. Never raises.

    Parameters:
        value: The value, which must be no secret.
    """
    value = plain(value)
    # Of some lengths Python does not write the digits
    if type(value) is int and value.bit_length() > _MOST_BITS:
        return f"a number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # whatever a method of the user's raises
        return _unknown(value)
    return text if len(text) <= MOST_WRITTEN else f"{text[:MOST_WRITTEN]}…"


_MOST_BITS = 128


def _unknown(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


def shown(value: Any, name: str = "") -> str:
    """Return the text for a value in an error: type and value, but never a secret.

    Parameters:
        value: The value.
        name: The name of the option. For names such as ``password`` the text has the type only.
    """
    kind, value = type(value).__name__, plain(value)
    if looks_secret(name) or not (value is None or type(value) in (str, int, float, bool)):
        return f"a value of type {kind}"
    if type(value) is str and "://" in value:
        return f"{kind} '{value.partition('://')[0][:MOST_WRITTEN]}://***'"
    return f"{kind} {without_secrets(written(value))}"


def without_secrets(text: str) -> str:
    """Return a text without secrets: URLs are cut to their schemes, ``user:password@host`` and ``user@host`` to ``***``."""
    return re.sub(r"\S*@\S*", "***", re.sub(r"(\w+://).*", r"\1***", text, flags=re.DOTALL))


def text_of(error: BaseException, with_type: bool = False) -> str:
    """Return the text of an error, secrets and all; the name of its class if its own method raises.

    Parameters:
        error: The error.
        with_type: Whether the name of its class comes first, as in a traceback.
    """
    kind = type(error).__name__
    try:
        return f"{kind}: {error}" if with_type else str(error)
    except Exception:  # whatever a method of the user's raises
        return kind
