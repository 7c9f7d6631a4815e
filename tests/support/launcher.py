"""Python programs in processes of their own that begin at once, because they are forked where all is imported already.

A process of Python takes half a second to import the engine for Redis. Here one process does so, and forks for each program,
which then ends as any program does: with its exit handlers, and with the exit code that it would have.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import IO, Any, Self

__all__ = ["Launcher", "Program"]


class Program:
    """A program that was begun. Has what tests need of ``subprocess.Popen``.

    Attributes:
        pid: The id of its process.
        stdout: The text that it prints.
        stderr: The text of its complaints.
    """

    def __init__(self, stdout: int, stderr: int, told: int) -> None:
        self.stdout: IO[str] = os.fdopen(stdout)
        self.stderr: IO[str] = os.fdopen(stderr)
        self._told = told
        self._code: int | None = None
        self.pid = self._number()

    def wait(self, timeout: float) -> int:
        """Wait until the process has ended; return its exit code, or minus the signal that ended it."""
        if self._code is None:
            assert select.select([self._told], [], [], timeout)[0], f"not ended within {timeout:g} s"
            self._code = self._number()
        return self._code

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._code is not None or bool(select.select([self._told], [], [], 0)[0])

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait until the process has ended; return what it has printed and complained of since."""
        self.wait(timeout)
        return self.stdout.read(), self.stderr.read()

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process, and give up the pipes."""
        self.kill()
        for each in (self.stdout, self.stderr):
            each.close()
        os.close(self._told)

    def _number(self) -> int:
        found = b""
        while not found.endswith(b"\n"):
            found += os.read(self._told, 1) or b"?\n"
        return int(found)


class Launcher:
    """Starts programs. Warnings are errors in them.

    Parameters:
        imports: The modules that programs find imported.
    """

    def __init__(self, *imports: str) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", __file__, str(theirs.fileno()), *imports],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(self, code: str, *, new_session: bool = False) -> Program:
        """Start a program."""
        pipes = [os.pipe() for _ in range(3)]
        request = json.dumps([code, new_session]).encode()
        socket.send_fds(self._control, [b"%8d" % len(request) + request], [writing for _, writing in pipes])
        for _, writing in pipes:
            os.close(writing)
        return Program(*[reading for reading, _ in pipes])

    def close(self) -> None:
        """End the process that programs are forked from."""
        self._control.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# In the process that programs are forked from ----------------------------------------------------------------------


def next_program(control: socket.socket) -> str:
    """Fork for each request. Return its code, in its process."""
    while True:
        head, fds, _, _ = socket.recv_fds(control, 8, 3)
        if not head:
            os._exit(0)
        code, new_session = json.loads(_exactly(control, int(head)))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for programs
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            _begin(new_session, *fds)
            return str(code)
        for each in fds:
            os.close(each)


def _begin(new_session: bool, stdout: int, stderr: int, told: int) -> None:
    """Fork once more. Return in the process of the program; the other one tells how that ends."""
    pid = os.fork()
    if pid:
        os.write(told, b"%d\n" % pid)
        for each in (stdout, stderr):
            os.close(each)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(told, b"%d\n" % code)
        os._exit(0)
    if new_session:
        os.setsid()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for each in (stdout, stderr, told):
        os.close(each)


def _exactly(control: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += control.recv(size - len(found))
    return found


if __name__ == "__main__":
    for name in sys.argv[2:]:
        __import__(name)
    gc.freeze()  # so that no program copies it all only to look at it
    program: Any = next_program(socket.socket(fileno=int(sys.argv[1])))
    exec(program, globals())
