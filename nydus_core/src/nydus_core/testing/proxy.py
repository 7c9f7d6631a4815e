"""A proxy to put between a client and a real server, which shows the effects of a failing network.

``FaultProxy`` is the object that users hold. It hands each call to the thread that does the work. ``relay``
forwards bytes, ``listener`` answers connects, and ``faults`` decides about bytes. The module is long on purpose: it is a list of
all faults, with what each does.
"""

from __future__ import annotations

from typing import Protocol, Self

from nydus_core.testing.faults import Faults
from nydus_core.testing.listener import HOST, Listener
from nydus_core.testing.relay import Relay
from nydus_core.testing.sockets import Address, Endpoints, endpoints_of
from nydus_core.testing.worker import Worker

__all__ = ["Address", "FaultProxy", "Listening"]


class Listening(Protocol):
    """Anything that listens: a private server, or another proxy."""

    @property
    def path(self) -> str:
        """The path of the unix socket; empty if there is none."""
        ...

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; 0 if there is none."""
        ...


class FaultProxy:
    """Forwards connections to a server, and misbehaves on request. Listens as soon as it is made.

    Methods and attributes may be used from any thread. When the call or the assignment has returned, a fault
    holds for every byte that was not forwarded before. Which bytes have reached the server is never in doubt:

    - A byte of a request is *forwarded* when the kernel has it for the server, and not before. ``requests``
      has exactly the forwarded bytes.
    - Forwarded bytes reach the server, unless the server is gone: whatever ends the client's connection, the server
      reads all forwarded bytes, and then the end of its connection.
    - Bytes that were not forwarded when a fault closed their connection never reach the server.
    - A client that leaves takes nothing back that its kernel has delivered: the bytes are forwarded, and then
      the end of the connection, even if a fault holds both for a while.

    A *chunk* is the result of one read from a socket, at most 64 KiB: a small request or reply, or a whole pipeline.

    Parameters:
        target: The server: the path of a unix socket, host and port, or an object with ``path`` and ``port``.
        tcp: Listen on a free port of 127.0.0.1 instead of a unix socket.
        delay: See the attribute.

    Attributes:
        path: The path of the unix socket where it listens; empty with ``tcp``.
        host: ``127.0.0.1`` with ``tcp``; else empty.
        port: The port where it listens with ``tcp``; else 0.

    Raises:
        OSError: The host of the target is unknown.
        ValueError: ``delay`` is negative.
    """

    def __init__(self, target: Listening | Address, *, tcp: bool = False, delay: float = 0.0) -> None:
        self._target = _address_of(target)
        endpoints, faults = endpoints_of(self._target), Faults(_seconds(delay))
        listener = Listener(tcp=tcp)
        self.path = listener.path
        self.host = HOST if tcp else ""
        self.port = listener.port
        self._worker = Worker("nydus-fault-proxy")
        self._relay = self._worker.run(lambda: _listening(listener, endpoints, faults))

    @property
    def target(self) -> Address:
        """The server that connections are forwarded to. A new target holds for connects from then on."""
        return self._target

    @target.setter
    def target(self, target: Listening | Address) -> None:
        address = _address_of(target)
        endpoints = endpoints_of(address)

        def lead() -> None:
            self._relay.take_all()
            self._relay.endpoints = endpoints
            self._target = address

        self._worker.do(lead)

    @property
    def connections(self) -> int:
        """The number of connections that were taken so far."""
        return self._worker.look(lambda: self._relay.connections)

    @property
    def open_connections(self) -> int:
        """The number of connections of clients that are open now."""
        return self._worker.look(lambda: self._relay.open_connections)

    @property
    def requests(self) -> list[bytes]:
        """The bytes that were forwarded to the server so far, chunk by chunk, over all connections.

        The list itself, which grows; ``requests.clear()`` forgets.
        """
        return self._worker.look(lambda: self._relay.requests)

    @property
    def blackhole(self) -> bool:
        """Whether connections are taken, and nothing goes through in either direction.

        Bytes, and ends of connections, are held. They go through once ``blackhole`` is off again, so a server
        may see a request whose client gave up long ago. A ``drop()`` before that discards them. New
        connections reach the server once ``blackhole`` is off again.
        """
        return self._relay.faults.blackhole

    @blackhole.setter
    def blackhole(self, blackhole: bool) -> None:
        self._set("blackhole", bool(blackhole))

    @property
    def delay(self) -> float:
        """Seconds that each chunk of replies is held back. The delays of connections overlap."""
        return self._relay.faults.delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._set("delay", _seconds(seconds))

    @property
    def trickle(self) -> float:
        """Seconds that each byte of replies is held back: bytes go through one by one. 0 is off."""
        return self._relay.faults.trickle

    @trickle.setter
    def trickle(self, seconds: float) -> None:
        self._set("trickle", _seconds(seconds))

    @property
    def throttle(self) -> float:
        """Bytes a second that go through in each direction of each connection, as on a slow link. 0 is off."""
        return self._relay.faults.throttle

    @throttle.setter
    def throttle(self, rate: float) -> None:
        if rate < 0:
            raise ValueError(f"found {rate} bytes a second, expected 0 or more")
        self._set("throttle", float(rate))

    @property
    def swallow(self) -> bool:
        """Whether replies are dropped. Requests are forwarded: the server does its work, and nobody is told."""
        return self._relay.faults.swallow

    @swallow.setter
    def swallow(self, swallow: bool) -> None:
        self._set("swallow", bool(swallow))

    def cut_requests(self, after: int = 0, times: int = 1) -> None:
        """Close connections in the middle of their requests.

        Exactly the first ``after`` bytes that a connection sends from now on reach the server, which then
        sees the end of the connection. The client sees FIN, and no reply that comes later.

        Parameters:
            after: Bytes of requests that are forwarded before; with 0, the next chunk is not forwarded at all.
            times: The number of connections to close: the first that get there, each counted from now on.

        Raises:
            ValueError: ``after`` is negative, or ``times`` is not positive.
        """
        self._worker.do(lambda: self._relay.faults.request_cuts.add(after, times))

    def cut_replies(self, after: int = 0, times: int = 1) -> None:
        """Close connections in the middle of their replies.

        A request that is answered has reached the server, which has done its work. The client reads exactly
        ``after`` more bytes, and then FIN. Requests that were not forwarded by then never are.

        Parameters:
            after: Bytes of replies that are forwarded before; with 0, the next chunk is not forwarded at all.
            times: The number of connections to close: the first that get there, each counted from now on.

        Raises:
            ValueError: ``after`` is negative, or ``times`` is not positive.
        """
        self._worker.do(lambda: self._relay.faults.reply_cuts.add(after, times))

    def garble(self, data: bytes, times: int = 1) -> None:
        """Replace chunks of replies. Their requests have reached the server.

        Parameters:
            data: The bytes that the client reads instead of each chunk; may be empty.
            times: The number of chunks to replace: the next chunks, over all connections.

        Raises:
            ValueError: ``times`` is not positive.
        """
        self._worker.do(lambda: self._relay.faults.garble(data, times))

    def drop(self) -> None:
        """Close all connections, by FIN. New connections are taken. Bytes not forwarded by now never are."""
        self._worker.run(self._relay.drop)

    def reset(self) -> None:
        """Close all connections, by RST. New connections are taken. Bytes not forwarded by now never are.

        The server sees FIN, behind the bytes that were forwarded.

        Raises:
            ValueError: The proxy listens on a unix socket, which knows no RST.
        """
        self._need_tcp("reset()")
        self._worker.run(lambda: self._relay.drop(reset=True))

    def forget(self) -> None:
        """Have the connections that are open now go dead, as a firewall does that has forgotten them.

        Nothing goes through on them, in either direction, until ``heal()``; neither end is told. New connections work.
        """
        self._worker.do(self._relay.forget)

    @property
    def used_in_vain(self) -> int:
        """The number of connections that somebody has sent something on since ``forget()`` made them dead."""
        return self._worker.look(lambda: len(self._relay.used_in_vain))

    def refuse(self) -> None:
        """Close all connections, as ``drop()`` does, and refuse connects until ``accept()``."""
        self._worker.run(self._relay.refuse)

    def hang_connects(self) -> None:
        """Leave connects without an answer, so that they hang, until ``accept()``. Open connections go on.

        Raises:
            ValueError: The proxy listens on a unix socket, where a connect is not a packet that can be lost.
        """
        self._need_tcp("hang_connects()")
        self._worker.do(self._relay.hang)

    def accept(self) -> None:
        """Take connections again, at the same address.

        A connect that hung is answered when the client's kernel tries again, which may take seconds.
        """
        self._worker.do(self._relay.listen)

    def heal(self) -> None:
        """Undo every fault, also faults that have not struck yet, and take connections again.

        Bytes that a fault holds back go through now. Closed connections stay closed, and ``target`` stays as it is.
        """

        def heal() -> None:
            self._relay.faults = Faults()
            self._relay.changed()
            self._relay.listen()

        self._worker.do(heal)

    def close(self) -> None:
        """Close all connections, give up the address, and end the thread. Does nothing the second time."""
        self._worker.close(self._relay.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._worker.is_closed else ""
        return f"<{type(self).__name__} {self.path or f'{self.host}:{self.port}'} to {self._target}{state}>"

    def _set(self, fault: str, value: object) -> None:
        def change() -> None:
            setattr(self._relay.faults, fault, value)
            self._relay.changed()

        self._worker.do(change)

    def _need_tcp(self, call: str) -> None:
        if self.path:
            raise ValueError(f"{self!r} listens on a unix socket: {call} needs FaultProxy(..., tcp=True)")


async def _listening(listener: Listener, endpoints: Endpoints, faults: Faults) -> Relay:
    relay = Relay(listener, endpoints, faults)  # a relay belongs to the loop that makes it
    relay.listen()
    return relay


def _address_of(target: Listening | Address) -> Address:
    if isinstance(target, (str, tuple)):
        return target
    return target.path or (HOST, target.port)


def _seconds(seconds: float) -> float:
    if seconds < 0:
        raise ValueError(f"found {seconds} seconds, expected 0 or more")
    return float(seconds)
