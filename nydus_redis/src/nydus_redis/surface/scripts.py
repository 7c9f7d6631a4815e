"""The scripts that a program has registered, by name. A host that does not know a script is sent the text."""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["Scripts"]


class Scripts:
    """Remembers scripts as long as the program does."""

    def __init__(self) -> None:
        self._by_sha: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def remember(self, script: Any) -> Any:
        """Remember a ``Script`` of redis-py; return it."""
        self._by_sha[script.sha] = script
        return script

    def text(self, sha: str) -> Any:
        """Return the text of a script, by the name that servers give it; None if nobody has registered it."""
        script = self._by_sha.get(sha)
        return None if script is None else script.script
