"""The error for a command whose keys live on several hosts, with the remedies. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from nydus_core.command import Command
from nydus_core.errors import CrossHostError
from nydus_core.routers import Router, stand_in

__all__ = ["crossing", "remedies"]


def crossing(
    router: Router, command: Command, places: dict[str, list[bytes]], loose: Sequence[bytes] = ()
) -> CrossHostError:
    """Return the error for a command that no single host can do.

    Parameters:
        router: The router, which may honour hash tags.
        command: The command.
        places: For each host, by name, the keys that live there, and the patterns all of whose keys live there.
        loose: The patterns whose keys may live on any host.
    """
    told = remedies(router, command, next(iter(places)))
    return CrossHostError(command.name, places, f"Nothing was sent. {told}.", loose)


def remedies(router: Router, command: Command, host: str) -> str:
    """Return the remedies for keys that live apart, as sentences without the last full stop.

    Parameters:
        router: The router.
        command: The command.
        host: The name of a host. A command that reads keys of patterns may be wanted there, whatever others hold.
    """
    honours, keys = router.hash_tags, "{user:1}.a and {user:1}.b"
    if command.patterns:
        keys = "{user:1}.ids and all of {user:1}.weight_*"
        honours = honours and stand_in(router, b"{user:1}.weight_*") is not None
    if honours:
        tagged = f"Keys with one hash tag, such as {keys}, live together"
    else:
        tagged = f"With a router that honours hash tags (option hash_tags), keys such as {keys} live together"
    alone = f". cluster.on({host!r}) reads what that host holds, and nothing else"
    return f"{tagged}{alone if command.patterns else ''}"
