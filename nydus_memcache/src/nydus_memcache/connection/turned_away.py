"""A server at its limit of connections: it says so on a new connection, and closes. No I/O.

memcached (``-c``) says ``ERROR Too many open connections`` before it has read anything. So a command on this connection was
not sent, whatever the socket has taken. Only the first line of a connection says so. A later line is the answer to a command.
"""

from __future__ import annotations

from nydus_memcache.errors import ServerFull

__all__ = ["check_first_line", "is_turned_away", "turned_away"]

_TURNED_AWAY = b"ERROR Too many open connections"


def is_turned_away(said: bytes) -> bool:
    """Tell whether a server has turned a connection away, by the first bytes that it has sent there."""
    return said.startswith(_TURNED_AWAY)


def turned_away() -> ServerFull:
    """Return the error for a connection that was turned away."""
    return ServerFull(
        "the server is full: it says 'Too many open connections'. Raise its limit (memcached -c), or limit the "
        "clients (max_pool_size)"
    )


def check_first_line(said: bytes) -> None:
    """Look at the first line that a server has sent on a connection, or at the first bytes.

    Raises:
        ServerFull: The server has turned the connection away.
    """
    if is_turned_away(said):
        raise turned_away()
