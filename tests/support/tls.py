"""TLS in front of a real server that speaks none."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from address import Listening


class TlsFront:
    """Takes TLS connections on a port of localhost, and passes what they say on to a server."""

    def __init__(self, server: Listening, certificate: Path) -> None:
        self.connections = 0
        self._server = server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> TlsFront:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(client, server_side=True) as near,
            socket.socket(socket.AF_UNIX) as far,
        ):
            far.connect(self._server.path)
            answers = threading.Thread(target=_copy, args=(far, near))
            answers.start()
            _copy(near, far)
            far.shutdown(socket.SHUT_RDWR)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


def make_certificate(folder: Path) -> Path:
    """Return a file with a key and a certificate for localhost, which signs itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    path = folder / "localhost.pem"
    command = ["openssl", "req", "-x509", *made, *named, "-keyout", str(path), "-out", str(folder / "crt")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (folder / "crt").read_bytes())
    return path
