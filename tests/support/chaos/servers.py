"""Real servers that can be stopped, killed and started again at the same address, and that tell what they have done.

A Redis writes every command that it applied into its append-only file, before it answers: an exact log, which also
survives SIGKILL. A memcached forgets when it ends. Before that, its values tell how often they were appended to and
counted up, and its log of mutations how often each key was set.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from address import ask
from chaos.record import Effect, Truth, amount_of
from memcached import MemcachedServer
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.embedded.supervised import until
from stopping import wait_until_stopped

__all__ = ["Fleet", "Preset", "Server", "parse_log"]

_TOKEN = re.compile(r"<\d+\.\d+>")


@dataclass(frozen=True)
class Preset:
    """What every host has before a schedule begins: plain values, and counters."""

    values: dict[str, str]
    counters: Sequence[str]
    texts: Sequence[str]


@dataclass
class Done:
    """What one server has done in a schedule."""

    applied: dict[str, list[Effect]] = field(default_factory=lambda: defaultdict(list))
    finals: dict[str, str] = field(default_factory=dict)
    flushed: bool = False
    popped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Server(Protocol):
    """A server of either kind."""

    path: str
    #: Whether it has forgotten something of what it did since ``prepare``.
    blind: bool

    def prepare(self, preset: Preset) -> None:
        """Empty it and fill it, and remember that what it does counts from here on."""
        ...

    def stop(self) -> None: ...
    def wake(self) -> None: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def kill_clients(self) -> None: ...
    def connections(self) -> int: ...
    def done(self, host: str, tokens: dict[str, tuple[str, str]]) -> Done:
        """Return what it has done, given the key and name of each write by its token."""
        ...


class _Process:
    """A server at one address, through any number of processes."""

    def __init__(self, server: PrivateServer | MemcachedServer) -> None:
        self._server = server
        self._gone = False
        self.blind = False

    @property
    def path(self) -> str:
        return self._server.path

    @property
    def port(self) -> int:
        return 0

    def start(self) -> None:
        """Start it if it is not running, and wait until it answers."""
        if self._gone:
            self._server.restart()
        self._gone = False
        self._server.wait()

    def stop(self) -> None:
        """Hang: SIGSTOP."""
        if not self._gone:
            os.kill(self._server.pid, signal.SIGSTOP)
            wait_until_stopped(self._server.pid)

    def wake(self) -> None:
        """Go on: SIGCONT."""
        if not self._gone:
            os.kill(self._server.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._gone = True
        self._server.kill()

    def kill_clients(self) -> None:
        """Have it close all connections, commands under way or not. One that hangs, or is gone, cannot; nor can memcached."""

    def end(self) -> None:
        """End it for good."""
        self._server.stop()


# Redis -----------------------------------------------------------------------------------------------------------

_CONFIG = {"appendonly": "yes", "appendfsync": "always", "auto-aof-rewrite-percentage": "0"}
#: Bytes of a log that are kept from one schedule to the next: a server that was killed reads all of it.
_MOST_LOG = 10_000_000


class RedisHost(_Process):
    """A Redis with an append-only file."""

    def __init__(self) -> None:
        super().__init__(PrivateServer(_CONFIG))
        self._mark = 0

    def prepare(self, preset: Preset) -> None:
        self.start()
        commands = [b"FLUSHALL\r\n"]
        commands += [f"SET {key} {value}\r\n".encode() for key, value in preset.values.items()]
        ask(self, b"".join(commands) + b"ECHO prepared\r\n", b"prepared\r\n")
        if self._size() > _MOST_LOG:
            self._rewrite()
        self._mark = len(self._log())

    def number(self, key: str) -> int:
        """Return the number at a key; 0 if there is none."""
        answer = ask(self, f"GET {key}\r\nECHO end\r\n".encode(), b"$3\r\nend\r\n")
        return 0 if answer.startswith(b"$-1") else int(answer.split(b"\r\n")[1])

    def length(self, key: str) -> int:
        """Return the length of a list."""
        return int(ask(self, f"LLEN {key}\r\n".encode(), b"\r\n")[1:])

    def connections(self) -> int:
        found = re.search(rb"connected_clients:(\d+)", ask(self, b"INFO clients\r\n", b"\r\n"))
        assert found is not None
        return int(found[1])

    def done(self, host: str, tokens: dict[str, tuple[str, str]]) -> Done:
        return parse_log(self._log()[self._mark :], host)

    def kill_clients(self) -> None:
        with contextlib.suppress(OSError):
            ask(self, b"CLIENT KILL TYPE normal SKIPME yes\r\n", b"\r\n", timeout=0.05)

    def _rewrite(self) -> None:
        """Begin the log anew: what schedules before have written is of no use."""
        ask(self, b"BGREWRITEAOF\r\n", b"\r\n")
        for _ in until(time.monotonic() + 10):
            state = ask(self, b"INFO persistence\r\nECHO end\r\n", b"$3\r\nend\r\n")
            if b"aof_rewrite_in_progress:0" in state and b"aof_rewrite_scheduled:0" in state:
                return

    def _files(self) -> list[Path]:
        files = Path(self.path).parent.glob("appendonly*/*.incr.aof")
        return sorted(files, key=lambda file: int(file.name.split(".")[2]))

    def _size(self) -> int:
        return sum(file.stat().st_size for file in self._files())

    def _log(self) -> bytes:
        return b"".join(file.read_bytes() for file in self._files())


def parse_log(log: bytes, host: str) -> Done:
    """Read an append-only file: what was applied, in order, and what the server answered to it."""
    done = Done()
    data = _Data(done)
    for at, (block, name, *words) in enumerate(_blocks(_commands(log))):
        if name in ("FLUSHALL", "FLUSHDB"):
            done.flushed = True
            data.flush()
        elif name in _TAKES:
            data.take(name, words, at, block, host)
        for key, value in _pairs(name, words):
            reply = data.reply(name, key, value)
            token = (_TOKEN.findall(value) or _TOKEN.findall(key) or [f"{name} {key} {value}"])[-1]
            done.applied[token].append(Effect(host, at, reply, block))
    done.finals = dict(data.texts)
    return done


#: Commands that take an element out of a list, each with the end of the list that it takes from.
_TAKES = {"LPOP": 0, "RPOP": -1, "LMOVE": 0, "RPOPLPUSH": -1}


class _Data:
    """The data of a server, as far as its answers depend on them."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self.texts: dict[str, str] = defaultdict(str)
        self._counts: dict[str, int] = defaultdict(int)
        self._lists: dict[str, list[str]] = defaultdict(list)

    def flush(self) -> None:
        for data in (self.texts, self._counts, self._lists):
            data.clear()

    def reply(self, name: str, key: str, value: str) -> Any:
        """Apply a write, and return what it was answered; None if that cannot be told."""
        if name == "INCRBY":
            self._counts[key] += int(value)
            return self._counts[key]
        if name == "APPEND":
            self.texts[key] += value
            return len(self.texts[key])
        if name in ("LPUSH", "RPUSH"):
            self._lists[key].insert(0 if name == "LPUSH" else len(self._lists[key]), value)
            return len(self._lists[key])
        return None if name == "XADD" else True

    def take(self, name: str, words: Sequence[str], at: int, block: int | None, host: str) -> None:
        """Take an element out of a list; a move puts it at a key whose name has the token."""
        key = words[0]
        end = -1 if words[2:3] == ["RIGHT"] else _TAKES[name]
        value = self._lists[key].pop(end)
        self._done.popped[key].append(value)
        if name in ("LMOVE", "RPOPLPUSH"):
            token = _TOKEN.findall(words[1])[-1]
            self._lists[words[1]].append(value)
            self._done.applied[token].append(Effect(host, at, value, block))


def _pairs(name: str, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    if name in ("INCRBY", "APPEND", "LPUSH", "RPUSH", "SET"):
        return [(words[0], words[1])]
    if name == "XADD":
        return [(words[0], words[-1])]
    return zip(words[::2], words[1::2], strict=True) if name == "MSET" else ()


def _commands(log: bytes) -> Iterator[list[str]]:
    """The commands in the log; a torn one at its end was never applied, as the server says itself at its start."""
    position = 0
    with contextlib.suppress(ValueError, IndexError):
        while position < len(log):
            end = log.index(b"\r\n", position)
            count, position = int(log[position + 1 : end]), end + 2
            words = []
            for _ in range(count):
                end = log.index(b"\r\n", position)
                size = int(log[position + 1 : end])
                word, position = log[end + 2 : end + 2 + size], end + 4 + size
                if position > len(log):
                    return
                words.append(word.decode())
            yield [words[0].upper(), *words[1:]]


def _blocks(commands: Iterable[list[str]]) -> Iterator[tuple[Any, ...]]:
    """The commands, each with the number of its transaction; those of one without an end were not applied."""
    block = 0
    waiting: list[tuple[Any, ...]] | None = None
    for name, *words in commands:
        if name == "MULTI":
            block, waiting = block + 1, []
        elif name == "EXEC":
            yield from waiting or ()
            waiting = None
        elif waiting is not None:
            waiting.append((block, name, *words))
        else:
            yield (None, name, *words)


# memcached -------------------------------------------------------------------------------------------------------


class MemcachedHost(_Process):
    """A memcached whose mutations are watched."""

    def __init__(self) -> None:
        super().__init__(MemcachedServer())
        self._watcher: socket.socket | None = None
        self._base = 0
        self._preset = Preset({}, (), ())

    def kill(self) -> None:
        self.blind = True
        super().kill()

    def end(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        super().end()

    def prepare(self, preset: Preset) -> None:
        self.start()
        self.blind = False
        self._preset = preset
        values = {**preset.values, **dict.fromkeys(preset.counters, "0"), **dict.fromkeys(preset.texts, "")}
        lines = [b"flush_all noreply\r\n"]
        lines += [
            b"set %b 0 0 %d noreply\r\n%b\r\n" % (key.encode(), len(value), value.encode())
            for key, value in values.items()
        ]
        ask(self, b"".join(lines) + b"mn\r\n", b"MN\r\n")
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = socket.socket(socket.AF_UNIX)
        self._watcher.settimeout(5)
        self._watcher.connect(self.path)
        self._watcher.sendall(b"watch mutations\r\n")
        assert self._watcher.recv(4) == b"OK\r\n"
        self._settle()

    def unwatch(self) -> None:
        """Stop watching mutations: nobody reads them."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = None

    def refill(self) -> None:
        """Fill it again after it was killed."""
        self.prepare(self._preset)
        self.unwatch()

    def number(self, key: str) -> int:
        """Return the number at a key; 0 if there is none."""
        return int(self._values([key]).get(key, "0"))

    def _settle(self) -> None:
        """Wait until connections that were closed just now are gone from the count."""
        least = min(self.connections() for _ in range(5))
        self._base = min(self._base or least, least)
        for _ in until(time.monotonic() + 2):
            if self.connections() <= self._base:
                return
        self._base = self.connections()

    def connections(self) -> int:
        found = re.search(rb"STAT curr_connections (\d+)", ask(self, b"stats\r\n", b"END\r\n"))
        assert found is not None
        return int(found[1])

    def done(self, host: str, tokens: dict[str, tuple[str, str]]) -> Done:
        done = Done()
        sets = None if self.blind else self._sets()
        keys = {key for key, _ in tokens.values()} | set(self._preset.texts)
        values = self._values(sorted(keys))
        for token, (key, name) in tokens.items():
            value = values.get(key, "")
            if name == "incr":
                done.applied[token] += [Effect(host, 0)] * int(value or 0)
            elif name == "count":
                done.applied[token] += [Effect(host, 0)] * (int(value or 0) // amount_of(token))
            elif name in ("set", "mset"):
                done.applied[token] += [Effect(host, 0, True)] * (
                    int(bool(value)) if sets is None else sets[key]
                )
            elif name in ("append", "push"):
                done.applied[token] += [
                    Effect(host, -found.start() if name == "push" else found.start(), True)
                    for found in re.finditer(re.escape(token), value)
                ]
        if not self.blind:
            for key, value in self._preset.values.items():
                if self._values([key]) != {key: value}:
                    done.applied[f"{key} is not {value}"].append(Effect(host, 0))
        done.finals = {key: values[key] for key in self._preset.texts if key in values}
        return done

    def _sets(self) -> dict[str, int]:
        """How often each key was set: read from the watcher, up to a write of our own."""
        assert self._watcher is not None
        end = f"end{time.monotonic_ns()}"
        ask(self, f"set {end} 0 0 1\r\n0\r\n".encode(), b"STORED\r\n")
        log = b""
        while f"key={end} ".encode() not in log:
            chunk = self._watcher.recv(1 << 20)
            assert chunk, "memcached has closed its log"
            log += chunk
        assert b"skipped=" not in log, "memcached has skipped some of its log"
        counts: dict[str, int] = defaultdict(int)
        for found in re.finditer(rb" key=(\S+) status=stored cmd=set ", log):
            counts[unquote(found[1].decode())] += 1
        return counts

    def _values(self, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(keys), 50):
            lines = ask(self, f"get {' '.join(keys[start : start + 50])}\r\n".encode(), b"END\r\n").split(
                b"\r\n"
            )
            for head, value in zip(lines[:-2:2], lines[1:-2:2], strict=True):
                found[head.split(b" ")[1].decode()] = value.decode()
        return found


# All of them -----------------------------------------------------------------------------------------------------


class Fleet:
    """Servers of both kinds, kept from one schedule to the next."""

    def __init__(self) -> None:
        self._servers: dict[str, list[Any]] = {"redis": [], "memcache": []}
        self._kinds: dict[str, type[Any]] = {"redis": RedisHost, "memcache": MemcachedHost}

    def take(self, engine: str, count: int) -> list[Any]:
        """Give some running servers."""
        servers = self._servers[engine]
        while len(servers) < count:
            servers.append(self._kinds[engine]())
        for server in servers[:count]:
            server.wake()
            server.start()
        return servers[:count]

    def truth(
        self, servers: Sequence[Any], hosts: Sequence[str], tokens: dict[str, tuple[str, str]]
    ) -> Truth:
        """Ask servers what they have done, for all of a schedule."""
        applied: dict[str, list[Effect]] = defaultdict(list)
        popped: dict[str, list[tuple[str, str]]] = defaultdict(list)
        finals, flushed = {}, False
        for server, host in zip(servers, hosts, strict=True):
            done = server.done(host, tokens)
            for token, effects in done.applied.items():
                applied[token] += effects
            finals.update({(host, key): value for key, value in done.finals.items()})
            flushed = flushed or done.flushed
            for key, taken in done.popped.items():
                popped[key] += [(host, token) for token in taken]
        memcached = bool(servers) and isinstance(servers[0], MemcachedHost)
        return Truth(
            {token: effects for token, effects in applied.items() if effects},
            finals,
            frozenset(host for server, host in zip(servers, hosts, strict=True) if server.blind),
            frozenset({"renew", "refused"} if memcached else ()),
            flushed,
            dict(popped),
        )

    def end(self) -> None:
        """End all servers."""
        for servers in self._servers.values():
            for server in servers:
                server.end()
            servers.clear()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
