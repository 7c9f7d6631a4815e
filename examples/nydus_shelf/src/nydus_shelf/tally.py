"""The hook plugin: a module that listens. It counts the commands of this process, by name.

A hook names only the arguments that it wants. An exception of a hook is logged, and breaks no command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nydus_core import Command, hookimpl

__all__ = ["commands_done"]

#: How often each command was called, alone or in a ``map()``, whether or not it succeeded.
commands_done: Counter[str] = Counter()


@hookimpl
def nydus_command_done(command: Command) -> None:
    """Count a command."""
    commands_done[command.name] += 1


@hookimpl
def nydus_batch_done(commands: Sequence[Command]) -> None:
    """Count the commands of a ``map()``."""
    commands_done.update(command.name for command in commands)
