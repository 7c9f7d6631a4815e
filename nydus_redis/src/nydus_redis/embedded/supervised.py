"""A process that cannot outlive the Python process that made it, and whose directory is removed with it.

``PrivateServer`` runs Redis as such a process, tests run memcached. Nothing here knows which program is run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from nydus_core.errors import NydusError

__all__ = ["ServerError", "SupervisedProcess", "private_directory", "until"]


class ServerError(NydusError):
    """A private server did not start, or has ended. The message shows the last lines of its log."""


class SupervisedProcess:
    """A process that ends, and whose directory is removed, when the Python process that made it ends.

    Even SIGKILL of the owner is noticed: a shell in between, the supervisor, holds the read end of a pipe, its *lifeline*.
    Only the owner has the write end. At end of file the shell kills the process by its id and removes the directory. The
    shell is the parent, so no other process can have got that id.

    Parameters:
        argv: The program to run, and its arguments. The output goes to ``output.log`` in the directory.
        directory: The working directory, which belongs to this object from now on.
        env: Variables to add to the environment.
    """

    def __init__(self, argv: Sequence[str], directory: Path, env: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._owner = os.getpid()
        self._pid: int | None = None
        self._held_port: socket.socket | None = None
        # Both ends are close-on-exec, so no program that the owner starts gets the write end. A fork without exec
        # inherits it, and Python's forks close it in _forget_in_fork. Only a fork that C code makes without Python,
        # or a fork in another thread during the next few lines, could keep the process alive until that fork ends.
        read_end, self._lifeline = os.pipe()
        try:
            self._shell = subprocess.Popen(
                [_SHELL, "-c", _SUPERVISE, "supervisor", str(directory), *argv],
                cwd=directory,
                # Some servers refuse to start with a locale that is not installed.
                env={**os.environ, "LC_ALL": "C", **(env or {})},
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # else Ctrl-C in the terminal of the owner would reach it
            )
        except BaseException:
            os.close(self._lifeline)
            shutil.rmtree(directory, ignore_errors=True)
            raise
        finally:
            os.close(read_end)
        _supervised.add(self)

    @property
    def pid(self) -> int:
        """The id of the process, not of its supervisor.

        Raises:
            ServerError: The id is not known, for the process was ended right at its start.
        """
        for _ in until(time.monotonic() + 5.0):
            if self._pid is None:
                self._pid = self._written_pid()
            if self._pid is not None:
                return self._pid
            if self.ended:
                break
        raise ServerError(f"the process in {self.directory} has no id: it was ended at its start")

    @property
    def is_ours(self) -> bool:
        """Whether it was started by this Python process, and not by a process that this one was forked from."""
        return os.getpid() == self._owner

    @property
    def ended(self) -> bool:
        """Whether the process has ended, by itself or by ``end()``."""
        return (self.directory / "status").exists() or not self.directory.exists()

    def output(self) -> str:
        """Return the output so far; empty once ``end()`` was called."""
        return self._read("output.log")

    def kill(self, hold_port: int = 0) -> None:
        """Kill the process, by SIGKILL, and wait until it is gone. The directory stays; ``start_again`` is possible.

        Does nothing if the process has ended, and in a fork of the owner.

        Parameters:
            hold_port: The port of 127.0.0.1 on which it listens, to be kept free for it until ``end()``.

        Raises:
            ServerError: The process is not gone within some seconds.
        """
        if not self.is_ours:
            return
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._wait_for("status")
        if hold_port and not self._held_port:
            self._held_port = _hold(hold_port)

    def start_again(self, kept: Collection[str] | None = None) -> None:
        """Kill the process if it runs, and run the same program again, in the same directory.

        Parameters:
            kept: The files of the directory that stay, if not all do.

        Raises:
            ServerError: ``end()`` was called, or this is a fork of the owner, or the supervisor is gone.
        """
        if self not in _supervised:
            raise ServerError(f"the process of {self.directory} is over, or that of another process")
        self.kill()
        self._wait_for("idle")
        for name in os.listdir(self.directory):
            if name in _PER_RUN or (kept is not None and name not in (*kept, "output.log")):
                _remove(self.directory / name)
        self._pid = None
        try:
            os.write(self._lifeline, b"again\n")
        except BrokenPipeError:
            raise ServerError(f"somebody killed the supervisor of the process in {self.directory}") from None

    def end(self) -> None:
        """Kill the process and remove the directory. Does nothing the second time, and in a fork of the owner."""
        if not self.is_ours:
            return
        try:
            # First, and atomic: the number of a closed file may soon belong to another
            _supervised.remove(self)
        except KeyError:
            return
        self._pid = self._pid or self._written_pid()
        os.close(self._lifeline)
        self._free_port()
        try:
            self._shell.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._end_without_watchdog()
        shutil.rmtree(self.directory, ignore_errors=True)

    def forget(self) -> None:
        """Close the files that a fork inherited: only the parent ends the process."""
        os.close(self._lifeline)
        self._free_port()
        self._shell.returncode = 0  # no child of this fork: neither wait for it nor warn that it still runs

    def _end_without_watchdog(self) -> None:
        # Somebody killed the half of the supervisor that reads the lifeline. The other half still waits for the
        # process, or else would have written the status. So the id still belongs to the process.
        if self._pid is not None and not (self.directory / "status").exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        try:
            self._shell.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()

    def _free_port(self) -> None:
        if self._held_port:
            self._held_port.close()

    def _wait_for(self, name: str) -> None:
        for _ in until(time.monotonic() + _GRACE):
            if (self.directory / name).exists():
                return
        raise ServerError(f"the process in {self.directory} was killed, and did not end within {_GRACE} s")

    def _written_pid(self) -> int | None:
        text = self._read("pid")
        return int(text) if text.endswith("\n") else None

    def _read(self, name: str) -> str:
        with contextlib.suppress(OSError):
            return (self.directory / name).read_text("utf-8", "replace")
        return ""


def private_directory(longest_name: str) -> Path:
    """Make an empty directory that only this user can read, with a path short enough for a unix socket.

    Parameters:
        longest_name: The longest name of a socket that will be in the directory.
    """
    most = 103  # bytes on macOS; 107 on Linux
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(os.path.join(usual, "nydus-01234567", longest_name))) <= most
    return Path(tempfile.mkdtemp(prefix="nydus-", dir=usual if fits else "/tmp"))


def until(deadline: float) -> Iterator[None]:
    """Yield once, and then again and again, with growing pauses, until the deadline."""
    pause = 0.001
    while True:
        yield
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.05)


_GRACE = 5.0  # seconds for the supervisor, which needs milliseconds
_SHELL = "/bin/sh"  # any POSIX shell: it is dash here, bash there

# $1 is the directory, in which the shell starts; the rest is the program and its arguments. The shell stays until the owner
# has ended, also when the process ended before, since the directory is still to be read and removed. A line on the lifeline
# means: run the program again. The watchdog is killed before that: from then on another process may have the old id, and the
# line is not for the watchdog.
_SUPERVISE = """
trap '' HUP INT TERM
directory=$1
shift
exec 3<&0 </dev/null
while
    "$@" >>output.log 2>&1 3<&- &
    process=$!
    echo $process >pid
    { read -r _; kill -KILL $process; } <&3 &
    watchdog=$!
    wait $process
    echo $? >status
    kill -KILL $watchdog
    wait $watchdog
    echo >idle
    read -r _ <&3
do :; done
cd /
command -p rm -rf "$directory"
"""
_PER_RUN = ("pid", "status", "idle")

_supervised: set[SupervisedProcess] = set()


def _hold(port: int) -> socket.socket | None:
    """Keep the kernel from using a port for an outgoing connection of any process; servers may still listen on it."""
    if sys.platform != "linux":  # elsewhere no server could listen then
        return None
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):  # another process was faster, and the server will report it
        held.bind(("127.0.0.1", port))
    return held


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _forget_in_fork() -> None:
    for process in _supervised:
        process.forget()
    _supervised.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_in_fork)
