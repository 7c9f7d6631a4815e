"""redis-py's own parser of asyncio where hiredis is not installed, driven by the bytes as they come, without a task.

The parser is a coroutine that reads from a stream. Here it runs until it wants bytes that have not come, and goes on when they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nydus_redis.connection.replies import REFUSALS
from nydus_redis.connection.replies_aio import whole_answer

__all__ = ["MISSING", "DrivenParser"]


class DrivenParser:
    """Has the methods of hiredis' reader, as far as they are called.

    Parameters:
        parser: The parser of an open connection of redis-py.
        stream: The stream that it reads from.
        go_on: Called when a reply may be complete that was waited for.
    """

    def __init__(self, parser: Any, stream: Any, go_on: Callable[[], None]) -> None:
        self._parser, self._stream, self._go_on = parser, stream, go_on
        self._reading: Coroutine[Any, Any, Any] | None = None
        self._blocker: Any = None
        self._undecodable: UnicodeDecodeError | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._stream.feed_data(data)

    def has_data(self) -> bool:
        """Tell whether there are bytes that no reply was made of."""
        return self._reading is not None or bool(self._stream._buffer or self._parser._buffer)

    def gets(self, decodes: bool = True) -> Any:
        """Return the next reply, an error of the server included; ``MISSING`` if it has not come.

        Raises:
            UnicodeDecodeError: The reply cannot be decoded; it is passed over.
            redis.RedisError: The bytes are no reply, or the server ends the connection.
        """
        blocker = self._blocker
        if blocker is not None and not blocker.done():
            return MISSING
        error: UnicodeDecodeError | None = None
        reading = self._reading
        if reading is None:
            reading = self._reading = self._parser.read_response(disable_decoding=not decodes)
        try:
            self._blocker = reading.send(None)
        except StopIteration as end:
            self._reading = self._blocker = None
            error, self._undecodable = self._undecodable, None
            if error is None:
                return end.value
        except UnicodeDecodeError as undecodable:
            # The parser has kept the bytes, and reads them once more, without decoding them: so it comes behind the reply
            self._undecodable, self._reading = undecodable, None
            return self.gets(decodes=False)
        except REFUSALS as answer:
            self._reading = self._blocker = None
            return whole_answer(answer)
        except BaseException:
            self._reading = self._blocker = None
            raise
        if error is not None:
            raise error
        if self._blocker is None:
            asyncio.get_running_loop().call_soon(self._go_on)
        else:  # the stream; or a function of the user, which takes a push message
            self._blocker.add_done_callback(lambda _: self._go_on())
        return MISSING


#: Stands for a reply that has not come yet.
MISSING: Any = object()
