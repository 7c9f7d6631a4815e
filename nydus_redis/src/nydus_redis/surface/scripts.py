"""Scripts that a program has registered: how they are sent, so that none is run twice.

A server that does not know a script by its name says NOSCRIPT, and has not run it. But a script may say NOSCRIPT itself, when it
has written. So the text goes along with a call wherever that costs next to nothing, or where the answer could be the script's
own. Then the answer is final. Only a long text is sent when a server asks for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from redis.commands.core import AsyncScript, Script

from nydus_core.command import key_bytes

__all__ = ["RunsScripts", "Scripts", "goes_along", "registered", "scripts_of"]

#: Bytes of a script that are sent with each call. A call takes as long as without them, as measured over a unix socket.
_SHORT = 1024

_NOSCRIPT = b"NOSCRIPT"


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

    def script(self, sha: str) -> Any:
        """Return a registered script, by the name that servers give it; None if nobody has registered it."""
        return self._by_sha.get(sha)


def goes_along(text: Any, args: Sequence[Any]) -> bool:
    """Tell whether the text of a script goes along with a call: it is short, or a NOSCRIPT could be its own.

    Parameters:
        text: The text.
        args: The keys and arguments of the call.
    """
    return len(text) <= _SHORT or any(_NOSCRIPT in key_bytes(word) for word in (text, *args))


def scripts_of(make_surface: Any) -> Scripts:
    """Return the scripts that a cluster knows, of the maker of its surfaces; none, if it is not ours."""
    found: Scripts = getattr(make_surface, "scripts", None) or Scripts()
    return found


class RunsScripts:
    """A client that runs a registered script once. Each side says how, in ``evalsha``."""

    nydus_scripts: Scripts

    def register_script(self, script: Any) -> Any:
        """Return a script that can be called. A host that does not know the script is sent the text."""
        redis_py: Any = super()
        return self.nydus_scripts.remember(registered(redis_py.register_script(script)))

    def nydus_text_first(self, text: Any, args: Sequence[Any]) -> bool:
        """Tell whether the text of a script is sent, and not its name first.

        Parameters:
            text: The text; None if it is not known.
            args: The keys and arguments of the call.
        """
        return text is not None and goes_along(text, args)


class _Registered(Script):
    """A script of redis-py that is run once: by clients of Nydus, which know when to send its text."""

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        client = self.registered_client if client is None else client
        known = getattr(client, "nydus_scripts", None)
        if known is None:  # a plain client of redis-py
            return super().__call__(keys, args, client)
        known.remember(self)
        return client.evalsha(self.sha, len(keys or ()), *(keys or ()), *(args or ()))


class _AsyncRegistered(AsyncScript):
    """The same with asyncio."""

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        client = self.registered_client if client is None else client
        known = getattr(client, "nydus_scripts", None)
        if known is None:
            return await super().__call__(keys, args, client)
        known.remember(self)
        return await client.evalsha(self.sha, len(keys or ()), *(keys or ()), *(args or ()))


def registered(script: Any) -> Any:
    """Return a script that redis-py has made, as a script that is run once."""
    kind: Any = _AsyncRegistered if isinstance(script, AsyncScript) else _Registered
    script.__class__ = kind
    return script
