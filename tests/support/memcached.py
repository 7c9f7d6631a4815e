"""Private memcached servers for tests: the memcached that is on PATH, ended with the process that owns it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import weakref
from typing import Self

from address import ask
from nydus_redis.embedded.supervised import ServerError, SupervisedProcess, private_directory, until

_RUN = 'exec "$0" "$@"'
_RUN_TCP = 'exec "$0" "$@" -p "$(cat last_port 2>/dev/null || echo -1)"'


class MemcachedServer:
    """A memcached of our own. It is spawned at once, and answers once ``wait()`` has returned.

    Parameters:
        options: Options of its command line, such as ``["-m", "8"]``.
        tcp: Listen on a free port of 127.0.0.1 instead of a unix socket.
    """

    def __init__(self, options: list[str] | None = None, *, tcp: bool = False) -> None:
        executable = shutil.which("memcached")
        if executable is None:
            raise ServerError(
                "there is no memcached on PATH: apt-get install memcached (macOS: brew install memcached)"
            )
        # Port -1 has the kernel choose one, so nobody can take it first; memcached writes it down for its own
        # tests.
        # When it is started again, it is told the port that it had.
        listen = ["-l", "127.0.0.1", "-U", "0"] if tcp else ["-s", "memcached.sock"]
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self.tcp = tcp
        self._process = SupervisedProcess(
            ["/bin/sh", "-c", _RUN_TCP if tcp else _RUN, executable, *listen, *user, *(options or [])],
            private_directory("memcached.sock"),
            env={"MEMCACHED_PORT_FILENAME": "port"} if tcp else None,
        )
        self._finalizer = weakref.finalize(self, self._process.end)

    @property
    def path(self) -> str:
        """The path of its unix socket; empty with ``tcp``."""
        return "" if self.tcp else str(self._process.directory / "memcached.sock")

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1; 0 with a unix socket, and until ``wait()`` has returned."""
        with contextlib.suppress(OSError):
            for line in (self._process.directory / "port").read_text("ascii").splitlines():
                if line.startswith("TCP INET: "):
                    return int(line.removeprefix("TCP INET: "))
        return 0

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    def wait(self, timeout: float = 10.0) -> Self:
        """Wait until the server answers, at most ``timeout`` seconds; ``ServerError`` if it does not."""
        for _ in until(time.monotonic() + timeout):
            if self._process.ended:
                raise ServerError(f"{self!r} ended:\n{self._process.output()}")
            if self._answers():
                return self
        raise ServerError(f"{self!r} did not answer within {timeout} s:\n{self._process.output()}")

    def kill(self) -> None:
        """Kill the server, by SIGKILL, and wait until it is gone."""
        self._process.kill(hold_port=self.port)

    def restart(self, timeout: float = 10.0) -> Self:
        """Kill the server if it runs, start it at the same address, empty, and wait until it answers."""
        if self.port:
            (self._process.directory / "last_port").write_text(str(self.port))
        self.kill()
        self._process.start_again()
        return self.wait(timeout)

    def stop(self) -> None:
        """Kill the server and remove its directory. Does nothing the second time."""
        self._finalizer()

    def __enter__(self) -> Self:
        try:
            return self.wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path or f'127.0.0.1:{self.port}'}>"

    def _answers(self) -> bool:
        if self.tcp and not self.port:
            return False
        with contextlib.suppress(OSError):
            return ask(self, b"version\r\n", b"\r\n").startswith(b"VERSION ")
        return False
