"""Opens, checks and closes connections to a memcached server, with asyncio."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from nydus_memcache.connection.line_aio import MemcacheLine, Reader
from nydus_memcache.connection.link import Address, keep_alive

__all__ = ["MemcacheConnector"]


class MemcacheConnector:
    """Makes connections. See ``nydus_core.aio.Connector``.

    Parameters:
        address: Where the server listens.
        idle_timeout: Seconds after which a connection that was not used is closed; 0 for never.
        group: Makes requests of the commands of several tasks, in order.
        lost: Called when a connection ends while answers are waited for: others may be as dead.
    """

    def __init__(
        self,
        address: Address,
        idle_timeout: float,
        group: Callable[[Sequence[Any]], Sequence[Reader]],
        lost: Callable[[], object],
    ) -> None:
        self._address = address
        self._idle_timeout, self._group, self._lost = idle_timeout, group, lost

    async def open(self) -> MemcacheLine:
        """Open a connection.

        Raises:
            OSError: The server is not there, or did not accept within ``connect_timeout``.
            MemcacheUnexpectedCloseError: It closed the connection at once.
        """
        address, seconds = self._address, self._address.connect_timeout
        line = MemcacheLine(address.timeout, self._idle_timeout, self._group, self._lost)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if isinstance(address.server, str):
                    await asyncio.get_running_loop().create_unix_connection(lambda: line, address.server)
                else:
                    await self._connect(line, *address.server)
            if not line.is_open:  # the server has closed it before this task had its turn
                raise line.lost(None)
        except BaseException as error:
            line.shut()
            if isinstance(error, TimeoutError) and limit.expired():
                raise TimeoutError(f"not connected within {seconds:g} seconds") from None
            raise
        return line

    async def _connect(self, line: MemcacheLine, host: str, port: int) -> None:
        loop, tls = asyncio.get_running_loop(), self._address.tls
        server_name = None if tls is None else host
        # One address after the other: asyncio, given all of them, would raise an error of its own in place of the last
        *others, last = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, where in (*others, last):
            try:
                await loop.create_connection(
                    lambda: line, str(where[0]), port, family=family, ssl=tls, server_hostname=server_name
                )
                break
            except OSError as error:
                if isinstance(error, ssl.SSLError) or where is last[-1]:
                    raise
        sock: Any = line.transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._address.no_delay)
        if self._address.keepalive is not None:
            keep_alive(sock, self._address.keepalive)

    def is_in_step(self, connection: MemcacheLine) -> bool:
        """Tell whether a connection is open, and no answer is pending, as far as the event loop has seen."""
        return connection.in_step

    async def is_fresh(self, connection: MemcacheLine) -> bool:
        """Tell whether an idle connection can be used: in step, and not idle for too long."""
        if not connection.in_step or connection.is_quiet():
            return connection.in_step
        if self._address.tls is None:
            return False  # a server says nothing unasked
        await asyncio.sleep(0)  # TLS has messages of its own: here the event loop looks at the socket,
        await asyncio.sleep(0)  # and here it has read them
        return connection.in_step

    def shut(self, connection: MemcacheLine) -> None:
        """Close a connection at once."""
        connection.shut()

    async def say_goodbye(self, connection: MemcacheLine) -> None:
        """Close a connection on which nothing is under way."""
        await connection.goodbye()

    def exhausted(self, why: str) -> Exception:
        """Make the error for a task that got no connection."""
        return RuntimeError(f"{why} (max_pool_size)")
