"""The mappings in ``tests/vectors``, which the named implementations themselves gave. Format: see a file's ``how``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file, such as ``cases('nydus_partition')``."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def mapping(case: dict[str, Any]) -> Iterator[tuple[str | bytes | int, Any]]:
    """The keys of a case, as a user would give them, each with what the implementation answered.

    A case of many everyday keys has ``key``, such as ``user:{}``, and ``places``: a digit for each key.
    """
    for number, place in enumerate(case.get("places", "")):
        yield case["key"].format(number), int(place)
    for tagged, answer in case.get("mapping", {}).items():
        yield untagged(tagged), answer


def untagged(key: str) -> str | bytes | int:
    """``s:text``, ``x:6869`` or ``i:12``."""
    kind, _, text = key.partition(":")
    readers: dict[str, Callable[[str], str | bytes | int]] = {"s": str, "x": bytes.fromhex, "i": int}
    return readers[kind](text)
