"""The hooks that a plugin may implement, with ``@hookimpl``, in a module or an object.

A plugin comes in through the entry-point group ``nydus.plugins`` or by
``nydus_core.plugins.register(plugin)``. A hook that raises is logged with its plugin's name, and never breaks
a command. A hook is a plain function. Hooks of an asynchronous cluster are called on the event loop, so they
must not block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from nydus_core.command import Command

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("nydus")
hookimpl = pluggy.HookimplMarker("nydus")


@hookspec
def nydus_configure(settings: dict[str, Any]) -> None:
    """Called with a cluster's settings before they are read; they may be changed in place.

    Parameters:
        settings: A copy of the dict that the user gave.
    """


@hookspec
def nydus_cluster_created(cluster: Any) -> None:
    """Called when a cluster has been built. No host has been connected to yet."""


@hookspec
def nydus_command_done(
    cluster: Any, command: Command, hosts: Sequence[str], error: Exception | None, seconds: float
) -> None:
    """Called after each single command that was delivered, in the thread or task that made it.

    A command that was refused before delivery is not reported. A command whose task was cancelled is
    reported, and ``error`` tells how far it came.

    Parameters:
        cluster: The cluster of the command.
        command: The command. Its values may be secret; its ``repr`` shows only name and keys.
        hosts: The names of the hosts that the command went to.
        error: The exception that the command ended in; None if all hosts answered with values.
        seconds: The seconds that the command took.
    """


@hookspec
def nydus_batch_done(
    cluster: Any,
    commands: Sequence[Command],
    hosts: Sequence[Sequence[str]],
    outcomes: Sequence[Any],
    seconds: float,
) -> None:
    """Called once after each ``map()`` that was delivered, in the thread or task that made it, even if cancelled.

    Parameters:
        cluster: The cluster of the ``map()``.
        commands: The commands, by position.
        hosts: For each command, the names of the hosts that it went to.
        outcomes: For each command, the value, or the exception that it ended in.
        seconds: The seconds that sending and receiving took.
    """


@hookspec
def nydus_host_down(cluster: Any, host: str, cause: BaseException) -> None:
    """Called when a host is taken for down: its breaker has opened.

    Runs in the thread or task whose failure opened the breaker.

    Parameters:
        cluster: The cluster.
        host: The name of the host.
        cause: The last failure, as the client library raised it.
    """


@hookspec
def nydus_host_up(cluster: Any, host: str) -> None:
    """Called when a host that was down has answered a probe and been readmitted.

    Runs in the thread or task of the probe.

    Parameters:
        cluster: The cluster.
        host: The name of the host.
    """
