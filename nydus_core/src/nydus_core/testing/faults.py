"""What a fault proxy does to bytes, decided without I/O. When it asks, and what it does then, is in ``relay``."""

from __future__ import annotations

from weakref import WeakKeyDictionary

__all__ = ["Cuts", "Faults"]


class _Order:
    """To cut the first ``times`` connections that have forwarded ``after`` bytes since it was given."""

    def __init__(self, after: int, times: int) -> None:
        self.after = after
        self.times = times
        self.passed: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def left(self, connection: object) -> int:
        return self.after - self.passed.get(connection, 0)


class Cuts:
    """Cuts of connections in one direction: where the next one is, and how far each connection has come."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def add(self, after: int, times: int) -> None:
        """Have the first ``times`` connections cut that forward ``after`` bytes from now on."""
        if after < 0 or times < 1:
            raise ValueError(f"after is {after} and times {times}, expected 0 or more, and 1 or more")
        self._orders.append(_Order(after, times))

    def allowed(self, connection: object, count: int) -> int:
        """How many of ``count`` bytes may pass before the connection is to be cut."""
        return min([count, *(order.left(connection) for order in self._orders)])

    def passed(self, connection: object, count: int) -> None:
        """Take note of ``count`` bytes that have passed on a connection."""
        for order in self._orders:
            order.passed[connection] = order.passed.get(connection, 0) + count

    def due(self, connection: object) -> bool:
        """Whether the connection is to be cut here and now. If so, one cut is used up."""
        for order in self._orders:
            if order.left(connection) <= 0:
                order.times -= 1
                if not order.times:
                    self._orders.remove(order)
                return True
        return False


class Faults:
    """All faults of a proxy that concern bytes. Those that concern connects are the listener's.

    Attributes:
        blackhole: Whether nothing passes, in either direction.
        swallow: Whether replies are dropped.
        delay: Seconds that each chunk of replies is held.
        trickle: Seconds before each single byte of replies; 0 if they pass in chunks.
        request_cuts: Where connections are cut on their way to the server.
        reply_cuts: Where connections are cut on their way back.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.blackhole = False
        self.swallow = False
        self.delay = delay
        self.trickle = 0.0
        self.request_cuts = Cuts()
        self.reply_cuts = Cuts()
        self._garble: list[bytes] = []

    def garble(self, data: bytes, times: int) -> None:
        """Have the next ``times`` chunks of replies replaced by ``data``."""
        if times < 1:
            raise ValueError(f"times is {times}, expected 1 or more")
        self._garble += [bytes(data)] * times

    def garbled(self, chunk: bytes) -> bytes:
        """What passes instead of a chunk of replies: mostly, the chunk."""
        return self._garble.pop(0) if self._garble else chunk
