"""TLS in front of servers that speak none, for hosts that fail at any moment of a handshake and of a record.

All bytes that reach the front reach the server: when the connection of a client ends, the server reads what was complete by
then, and then the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import ssl
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from tls import make_certificate

__all__ = ["TlsFronts", "can_speak_tls", "certificate"]

#: Seconds that a server has to close a connection whose client is gone.
_GRACE = 5.0


def can_speak_tls() -> bool:
    """Tell whether a certificate can be made on this machine."""
    return shutil.which("openssl") is not None


@functools.cache
def certificate() -> Path:
    """Return the file of a certificate for localhost, the same one all the time."""
    return make_certificate(Path(tempfile.mkdtemp(prefix="nydus-chaos-")))


class TlsFronts:
    """Takes TLS connections, on a port for each server, and passes what they say on.

    Parameters:
        paths: The unix sockets of the servers.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.ports: list[int] = []
        self._paths = paths
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate())
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._live()), name="chaos-tls", daemon=True
        )

    def __enter__(self) -> TlsFronts:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _live(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda loop, context: None)  # what clients do wrong is their affair
        servers = []
        for path in self._paths:
            serve = functools.partial(self._serve, path)
            servers.append(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._context, backlog=1000))
        self.ports += [server.sockets[0].getsockname()[1] for server in servers]
        self._ready.set()
        await self._over.wait()
        for server in servers:
            server.close()

    async def _serve(self, path: str, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        try:
            far, to_far = await asyncio.open_unix_connection(path)
        except OSError:
            to_near.transport.abort()
            return
        requests = asyncio.create_task(_copy(near, to_far))
        replies = asyncio.create_task(_copy(far, to_near))
        await asyncio.wait([requests, replies], return_when=asyncio.FIRST_COMPLETED)
        if not replies.done():  # the server reads all that was sent, and then the end
            with contextlib.suppress(OSError, RuntimeError):
                to_far.write_eof()
            await asyncio.wait([replies], timeout=_GRACE)
        for task in (requests, replies):
            task.cancel()
        to_far.close()
        to_near.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while piece := await source.read(65536):
            try:
                target.write(piece)
                await target.drain()
            except OSError:  # nobody hears the replies, and the requests have still to reach the server
                continue
