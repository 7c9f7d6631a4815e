"""The gate in front of shared connections: commands that leave a state on their connection are refused.

The next command on that connection would read another database (SELECT), be queued for EXEC (MULTI), or get no answer (CLIENT
REPLY), whichever thread or task sends it. Each command of a cluster, of a ``map()`` or of a host is described first, and its
scope ``CONNECTION`` tells. The pipelines of one host, which are redis-py's, ask ``Gate.admit``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nydus_core.command import Command, Scope
from nydus_redis.commands.command import OWN_CONNECTION
from nydus_redis.commands.table import CommandSpec, is_whole
from nydus_redis.errors import RoutingError

__all__ = ["OF_PIPELINES", "Gate", "need_no_connection"]

#: Nearer ways, for some.
_WAYS: Mapping[str, str] = {
    **dict.fromkeys(("MULTI", "EXEC"), "a pipeline() sends MULTI and EXEC around its commands"),
    "DISCARD": "reset() of a pipeline() forgets its commands",
    **dict.fromkeys(("WATCH", "UNWATCH"), "use watch() of a cluster.on_key(key).pipeline()"),
    **dict.fromkeys(("AUTH", "HELLO", "SELECT"), "set it in the options of the host"),
    **dict.fromkeys(("PSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE"), "use cluster.pubsub()"),
    "MONITOR": "use cluster.on(host).monitor()",
}

#: Commands that a pipeline of one host may send: they concern its other commands. They leave nothing behind, or redis-py ends it.
OF_PIPELINES = frozenset({"UNWATCH", "WAIT", "WAITAOF", "WATCH"})


def need_no_connection(command: Command) -> None:
    """Refuse a command that leaves a state on its connection.

    Raises:
        RoutingError: It does.
    """
    if command.scope is Scope.CONNECTION:
        raise _refusal(command.name)


class Gate:
    """Refuses arguments of ``execute_command`` that leave a state on the connection that they take.

    Parameters:
        words: Returns the words of a command, as they are sent.
        lookup: Finds a command by its words.
    """

    def __init__(
        self,
        words: Callable[[tuple[Any, ...]], tuple[Any, ...]],
        lookup: Callable[[Sequence[Any]], CommandSpec | None],
    ) -> None:
        self._words, self._lookup = words, lookup
        #: Names of commands that leave nothing, as redis-py writes them: nearly all calls end at this set.
        self._harmless: set[str] = set()

    def admit(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments as a pipeline of one host sends them: WATCH and UNWATCH as redis-py writes them.

        redis-py knows these by their names, and so ends their state.

        Parameters:
            args: The arguments of ``execute_command``.

        Raises:
            RoutingError: The command leaves a state on its connection.
        """
        name = args[0]
        if type(name) is str and name in self._harmless:
            return args
        words = self._words(args)
        spec = self._lookup(words)
        if spec is None or not spec.connection:
            if type(name) is str and is_whole(name):
                self._harmless.add(name)
            return args
        if spec.name not in OF_PIPELINES:
            raise _refusal(spec.name)
        return spec.name, *words[1:]


def _refusal(name: str) -> RoutingError:
    near = f"{_WAYS[name]}; or " if name in _WAYS else ""
    return RoutingError(
        f"{name} only has a meaning on one connection, and here connections are shared: {near}{OWN_CONNECTION}. Nothing was "
        "sent"
    )
