"""Rules for the keys of a command, as ``commands.tsv`` has them, and the functions that find keys by these rules."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nydus_core.command import key_bytes

__all__ = ["SORT_OPERANDS", "STREAMS_OPERANDS", "Finder", "Misfit", "Words", "compiled", "options_of"]

Words = Sequence[Any]
Finder = Callable[[Words], Sequence[int]]


class Misfit(Exception):
    """A word on the wire that does not fit: where, what was found, and what was expected. No word is shown: it may be a value."""

    def __init__(self, at: int, found: str, expected: str) -> None:
        super().__init__(at, found, expected)
        self.at, self.found, self.expected = at, found, expected


@functools.cache
def compiled(keys: str) -> tuple[tuple[Finder, ...], bool]:
    """Turn a key rule into functions from words to indexes. Tell also whether the rule may find no key at all."""
    finders = tuple(_finder(word) for word in keys.split() if word != "-")
    return finders, not finders or keys == "stralgo" or keys.startswith("#") or keys.endswith("?")


def _finder(text: str) -> Finder:
    """Turn one word of a key rule into a function from the words of a command to the indexes of keys."""
    if text in _BY_NAME:
        return _BY_NAME[text]
    found = re.fullmatch(r"(#?)(\d+)(?:\.\.(-?\d+)\??)?(?:/(\d+))?", text)
    if found is None:
        raise ValueError(
            f"commands.tsv: found the key rule {text!r}, expected one that command_table.py explains"
        )
    counted, first, last, step = found.groups(default="")
    if counted:
        return functools.partial(_counted, int(first), int(step or 1))
    if last.startswith("-"):
        return functools.partial(_to_the_end, int(first), int(last), int(step or 1))
    return functools.partial(_fixed, range(int(first), int(last or first) + 1))


def _fixed(positions: range, words: Words) -> Sequence[int]:
    """Find keys at fixed places: ``1``, ``1..2``."""
    if positions[-1] >= len(words):
        raise Misfit(len(words), "nothing", "a key")
    return positions


def _to_the_end(first: int, last: int, step: int, words: Words) -> Sequence[int]:
    """Find keys up to the end or near it: ``1..-1``, ``1..-1/2``."""
    end = len(words) + last + 1
    # A server refuses half a pair at the end. But a command that was split over hosts would go wrong unseen.
    if (end - first) % step:
        raise Misfit(len(words), "nothing", f"the rest of a group of {step} that its key begins")
    return range(first, end, step)


def _counted(at: int, step: int, words: Words) -> Sequence[int]:
    """Find keys whose number stands before them: ``#2``."""
    count = _number(words, at)
    most = (len(words) - at - 1) // step
    if not 0 <= count <= most:
        found = "a negative numkeys" if count < 0 else "a numkeys that is too large"  # it may be a value
        raise Misfit(at, found, f"0 to {most}, which is all that follows")
    return range(at + 1, at + 1 + count * step, step)


def _number(words: Words, at: int) -> int:
    if at >= len(words):
        raise Misfit(at, "nothing", "numkeys")
    try:
        return int(key_bytes(words[at]))
    except ValueError:
        raise Misfit(at, "another word", "numkeys, a whole number") from None


def options_of(words: Words, at: int, operands: Mapping[bytes, int]) -> Iterator[tuple[int, bytes]]:
    """Yield the index and the name of each option; ``operands`` says how many words an option takes."""
    while at < len(words):
        option = key_bytes(words[at]).upper()
        yield at, option
        at += 1 + operands.get(option, 0)


def _streams(words: Words) -> Sequence[int]:
    """Find the keys of XREAD and XREADGROUP: the first half of the words behind STREAMS."""
    for at, option in options_of(words, 1, STREAMS_OPERANDS):
        if option == b"STREAMS":
            return _first_half(at + 1, words)
        if option not in STREAMS_OPERANDS:
            raise Misfit(at, "another word", "STREAMS, or an option before it")
    raise Misfit(len(words), "nothing", "STREAMS, keys and ids")


def _first_half(first: int, words: Words) -> Sequence[int]:
    count = len(words) - first
    if not count or count % 2:
        raise Misfit(first, f"{count} words behind STREAMS", "keys and as many ids")
    return range(first, first + count // 2)


def _first_and_stored(first: int, operands: Mapping[bytes, int], words: Words) -> Sequence[int]:
    """Find the keys of SORT and GEORADIUS: the first, and the key behind the last STORE, which the server obeys."""
    stored: list[int] = []
    for at, option in options_of(words, first, operands):
        if option in (b"STORE", b"STOREDIST") and option in operands and at + 1 < len(words):
            stored = [at + 1]
    return [*_fixed(range(1, 2), words), *stored]


def _migrate(words: Words) -> Sequence[int]:
    """Find the keys of MIGRATE: the key at its fixed place; if it is empty, all words behind KEYS."""
    for at, option in options_of(words, 6, {b"AUTH": 1, b"AUTH2": 2}):
        if option == b"KEYS":
            if key_bytes(words[3]):
                raise Misfit(3, "a key although KEYS follows", "an empty word")
            return range(at + 1, len(words))
    return _fixed(range(3, 4), words)


def _stralgo(words: Words) -> Sequence[int]:
    """Find the keys of STRALGO LCS: the two behind KEYS; none where STRINGS gives the texts themselves."""
    for at, option in options_of(words, 2, {b"STRINGS": 2, b"MINMATCHLEN": 1}):
        if option == b"KEYS":
            return _fixed(range(at + 1, at + 3), words)
    return ()


#: How many words belong to an option of SORT. Of an unknown option the server says that the syntax is wrong.
SORT_OPERANDS: Mapping[bytes, int] = {b"STORE": 1, b"BY": 1, b"GET": 1, b"LIMIT": 2}
#: How many words belong to an option of XREAD and XREADGROUP.
STREAMS_OPERANDS: Mapping[bytes, int] = {
    **{b"NOACK": 0, b"BLOCK": 1, b"COUNT": 1, b"GROUP": 2},
    **{b"CLAIM": 1, b"MAXCOUNT": 1, b"MAXSIZE": 1},  # Redis 8.4 and 8.10
}
_BY_NAME: dict[str, Finder] = {
    "georadius": functools.partial(_first_and_stored, 5, {b"STORE": 1, b"STOREDIST": 1}),
    "migrate": _migrate,
    "sort": functools.partial(_first_and_stored, 2, SORT_OPERANDS),
    "stralgo": _stralgo,
    "streams": _streams,
}
