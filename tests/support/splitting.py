"""For the splits of tests: how lists that several hosts answered become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.command import Command

__all__ = ["ByPosition"]


class ByPosition:
    """Joins lists by the positions of the keys that they answer."""

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> list[Any]:
        found = {
            position: each
            for group, value in zip(groups, values, strict=True)
            for position, each in zip(group, value, strict=True)
        }
        return [found[position] for position in range(len(command.keys))]
