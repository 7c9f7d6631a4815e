"""Reads the values that answer a ``get`` or ``gets`` of any number of keys.

All items that have come are read at once: first as a list of lines, which is right unless a value holds the end of a line, and
else one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymemcache.exceptions import MemcacheUnknownError

from nydus_memcache.commands.replies import refused
from nydus_memcache.commands.source import Source
from nydus_memcache.errors import Refusal

__all__ = ["Items", "read_items"]

#: The values found, by key as the server sees it. Of a ``get``: the bytes if the flags are 0, else flags and bytes. Of a ``gets``:
#: flags, bytes and the cas token.
Items = dict[bytes, Any]

#: How many words are on the line before a value: VALUE, key, flags and size, after ``gets`` also the cas token.
_WORDS = {b"get": 4, b"gets": 5}
#: Bytes from which it is worth while to read items as a list of lines.
_MANY = 256


def read_items(source: Source, verb: bytes, keys: Collection[bytes]) -> Items | Refusal:
    """Read the values that answer a ``get`` or ``gets``.

    Parameters:
        source: The connection.
        verb: The command.
        keys: The keys that the command asked for, as the server sees them.

    Returns:
        The values found, or the error that the server answered.

    Raises:
        MemcacheUnknownError: A line is no answer to this command.
        Exception: The answer did not come, or not all of it.
    """
    found: Items = source.begun(dict)
    words = _WORDS[verb]
    while True:
        received, at = source.received, source.at
        if len(received) - at > _MANY:
            at = _take_lines(received, at, found, words)
        at, missing = _take(received, at, found, words)
        source.at = at
        if not missing:
            break
        source.more(missing)
    line = source.line()
    if line != b"END":
        if line.startswith(b"VALUE "):
            raise MemcacheUnknownError(line[:32])
        return refused(line, verb)
    # In nearly every answer all keys are found, and stand there in the order in which they were asked for
    if keys != [*found] and not found.keys() <= set(keys):
        raise MemcacheUnknownError("an answer with keys that were not asked for")
    return found


def _take(received: bytes, at: int, found: Items, words: int) -> tuple[int, int]:
    """Read items, one after the other.

    Parameters:
        received: The bytes that have come.
        at: The position of the first line.
        found: Takes the values.
        words: How many words a line has.

    Returns:
        The position behind the last item, and how many bytes of the next line or value are missing at least. 0: there is a
        line that belongs to no item.

    Raises:
        MemcacheUnknownError: A value does not end where it should.
    """
    find = received.find
    while True:
        end = find(b"\r\n", at)
        if end < 0:
            return at, 1
        line = received[at:end].split(b" ")
        if len(line) != words or line[0] != b"VALUE" or not (line[2].isdigit() and line[3].isdigit()):
            return at, 0
        start = end + 2
        stop = start + int(line[3])
        if not received.startswith(b"\r\n", stop):
            missing = stop + 2 - len(received)
            if missing > 0:
                return at, missing
            raise MemcacheUnknownError(
                f"a value that does not end after the {stop - start} bytes that were said"
            )
        value = received[start:stop]
        if words == 5:
            if not line[4].isdigit():
                return at, 0
            found[line[1]] = int(line[2]), value, line[4]
        elif line[2] == b"0":
            found[line[1]] = value
        else:
            found[line[1]] = int(line[2]), value
        at = stop + 2


def _take_lines(received: bytes, at: int, found: Items, words: int) -> int:
    """Read items by cutting all that has come into lines, up to the end of the answer or the last whole item.

    Parameters:
        received: The bytes that have come.
        at: The position of the first line.
        found: Takes the values.
        words: How many words a line has.

    Returns:
        The position behind the last item; ``at`` if the items are not to be read in this way: a value that holds the end of
        a line, or a line that makes no sense.
    """
    end = received.find(b"\r\nEND\r\n", at)
    if end < 0:
        end = received.rfind(b"\r\n", at)
    if end < 0:
        return at
    lines = received[at:end].split(b"\r\n")
    if len(lines) % 2:  # a line whose value has not come
        end -= len(lines.pop()) + 2
    heads, values = lines[0::2], lines[1::2]
    # Each check is one loop inside of Python, over all items
    count = len(heads)
    stride = words + 1
    # Each line has its number of words if each line feed is in its place, and so is the end
    parts = b" \n ".join(heads).split(b" ")
    if len(parts) != stride * count - 1 or parts[words::stride].count(b"\n") != count - 1:
        return at
    if parts[0::stride].count(b"VALUE") != count:
        return at
    lengths = [*map(len, values)]
    shown = {length: b"%d" % length for length in set(lengths)}
    if parts[3::stride] != [*map(shown.__getitem__, lengths)]:
        return at
    flags = parts[2::stride]
    kinds = set(flags)
    if not all(kind.isdigit() for kind in kinds):
        return at
    keys = parts[1::stride]
    if words == 5:
        tokens = parts[4::stride]
        if not all(map(bytes.isdigit, tokens)):
            return at
        found.update(zip(keys, zip(map(int, flags), values, tokens, strict=True), strict=True))
    elif kinds == {b"0"}:
        found.update(zip(keys, values, strict=True))
    else:
        found.update(
            (key, value if flag == b"0" else (int(flag), value))
            for key, flag, value in zip(keys, flags, values, strict=True)
        )
    return end + 2
