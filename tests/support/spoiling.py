"""How a fuzz test spoils a stream of good answers, and how long it goes on. For hypothesis.

``NYDUS_FUZZ=5000`` runs that many examples of each property, other ones each time; by default a few, always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["closing", "fuzz", "pieces", "spoiled"]

_LONG = int(os.environ.get("NYDUS_FUZZ", "0"))


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Decorate a property: so many examples, or ``NYDUS_FUZZ`` of them."""
    return settings(
        max_examples=_LONG or examples,
        deadline=None,
        derandomize=not _LONG,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def closing(*, short: bool) -> st.SearchStrategy[bool]:
    """Whether the server closes the connection behind an answer.

    Parameters:
        short: Whether the answer is too short. Then it is waited for if the connection stays open, which takes its time: so it
            is closed mostly, and always in the few examples that ``make test`` runs. Tests of their own are about silence.
    """
    if not short:
        return st.booleans()
    return st.integers(0, 29).map(lambda number: number < 29) if _LONG else st.just(True)


@st.composite
def spoiled(draw: st.DrawFn, honest: bytes, snippets: Sequence[bytes], most: int = 3) -> bytes:
    """Bytes of an honest answer, some flipped, put in, taken out, said twice, or cut off.

    Parameters:
        honest: What the real server said.
        snippets: What may be put in, besides any bytes.
        most: How often it is spoiled at most.
    """
    stream = honest
    inserted = st.one_of(st.sampled_from(list(snippets)), st.binary(min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(stream)))
        end = min(len(stream), at + draw(st.integers(1, 12)))
        how = draw(st.sampled_from(["flip", "insert", "delete", "twice", "truncate", "append"]))
        if how == "flip":
            byte = draw(st.one_of(st.sampled_from(b"\r\n0123-+:$*_>END "), st.integers(0, 255)))
            stream = stream[:at] + bytes([byte]) + stream[at + 1 :]
        elif how == "insert":
            stream = stream[:at] + draw(inserted) + stream[at:]
        elif how == "delete":
            stream = stream[:at] + stream[end:]
        elif how == "twice":
            stream = stream[:end] + stream[at:]
        elif how == "truncate":
            stream = stream[:at]
        else:
            stream += draw(inserted)
    return stream


@st.composite
def pieces(draw: st.DrawFn, stream: bytes) -> tuple[bytes, ...]:
    """The same bytes in up to three writes."""
    first, second = sorted((draw(st.integers(0, len(stream))), draw(st.integers(0, len(stream)))))
    return stream[:first], stream[first:second], stream[second:]
