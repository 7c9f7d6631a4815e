"""The faults of a proxy that concern bytes, decided without I/O. ``relay`` carries them out."""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet

__all__ = ["Cuts", "Faults"]

#: Seconds between two pieces of bytes that are throttled.
_BEAT = 0.01


class _Order:
    """An order to cut the first ``times`` connections that forward ``after`` bytes since the order was given."""

    def __init__(self, after: int, times: int) -> None:
        self.after = after
        self.times = times
        self.passed: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def left(self, connection: object) -> int:
        return self.after - self.passed.get(connection, 0)


class Cuts:
    """Cuts of connections in one direction: the place of the next cut, and the bytes passed on each connection."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def add(self, after: int, times: int) -> None:
        """Have the first ``times`` connections cut that forward ``after`` bytes from now on.

        Raises:
            ValueError: ``after`` is negative, or ``times`` is not positive.
        """
        if after < 0 or times < 1:
            raise ValueError(f"after is {after} and times {times}, expected 0 or more, and 1 or more")
        self._orders.append(_Order(after, times))

    def allowed(self, connection: object, count: int) -> int:
        """Return how many of ``count`` bytes may pass before the connection is to be cut."""
        return min([count, *(order.left(connection) for order in self._orders)])

    def passed(self, connection: object, count: int) -> None:
        """Take note of ``count`` bytes that have passed on a connection."""
        for order in self._orders:
            order.passed[connection] = order.passed.get(connection, 0) + count

    def due(self, connection: object) -> bool:
        """Tell whether the connection is to be cut here and now. If so, one cut is used up."""
        for order in self._orders:
            if order.left(connection) <= 0:
                order.times -= 1
                if not order.times:
                    self._orders.remove(order)
                return True
        return False


class Faults:
    """The faults of a proxy that concern bytes. The listener has the faults that concern connects.

    Attributes:
        blackhole: Whether nothing passes, in either direction.
        forgotten: The connections on which nothing passes, in either direction.
        swallow: Whether replies are dropped.
        delay: Seconds that each chunk of replies is held.
        trickle: Seconds before each single byte of replies; 0 if they pass in chunks.
        throttle: Bytes a second that pass in each direction of a connection; 0 for no limit.
        request_cuts: The cuts of connections on the way to the server.
        reply_cuts: The cuts of connections on the way back.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.blackhole = False
        self.forgotten: WeakSet[object] = WeakSet()
        self.swallow = False
        self.delay = delay
        self.trickle = 0.0
        self.throttle = 0.0
        self.request_cuts = Cuts()
        self.reply_cuts = Cuts()
        self._garble: list[bytes] = []

    @property
    def piece(self) -> int | None:
        """The most bytes that pass at once; None for no limit."""
        return max(1, int(self.throttle * _BEAT)) if self.throttle else None

    def pause_before(self, count: int) -> float:
        """Return the seconds to wait before so many bytes pass."""
        return count / self.throttle if self.throttle else 0.0

    def garble(self, data: bytes, times: int) -> None:
        """Have the next ``times`` chunks of replies replaced by ``data``.

        Raises:
            ValueError: ``times`` is not positive.
        """
        if times < 1:
            raise ValueError(f"times is {times}, expected 1 or more")
        self._garble += [bytes(data)] * times

    def garbled(self, chunk: bytes) -> bytes:
        """Return the bytes that pass in place of a chunk of replies: the chunk, unless it is to be garbled."""
        return self._garble.pop(0) if self._garble else chunk
