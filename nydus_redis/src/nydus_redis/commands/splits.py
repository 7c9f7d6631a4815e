"""Commands over many keys that may be cut into one command a host, and how the answers are joined again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nydus_core.command import Command
from nydus_redis.commands.command import ManyKeys, RedisCommand

__all__ = ["OF_NOTHING", "SPLITS"]


class KeySplit:
    """A command whose arguments are keys, each with the same number of values after it.

    Parameters:
        join: Makes one value of the values of all hosts; None puts the items where the keys stood.
        stride: How many arguments belong to one key, the key included.
    """

    def __init__(self, join: Callable[[Iterable[Any]], Any] | None, stride: int = 1) -> None:
        self._join = join
        self.stride = stride

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[RedisCommand]:
        """Return one command for each group, with the arguments of its keys."""
        if isinstance(command, ManyKeys):
            return [command.part(group, self.stride) for group in groups]
        assert isinstance(command, RedisCommand)
        return [command.remade(self._arguments(command, group)) for group in groups]

    def _arguments(self, command: Command, group: Sequence[int]) -> list[Any]:
        stride = self.stride
        return [
            arg for position in group for arg in command.args[position * stride : (position + 1) * stride]
        ]

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> Any:
        """Return the value that one server with all the keys would have answered."""
        if self._join is not None:
            return self._join(values)
        joined: list[Any] = [None] * len(command.keys)
        for group, items in zip(groups, values, strict=True):
            for position, item in zip(group, items, strict=True):
                joined[position] = item
        return joined


#: The commands that are summed over keys.
_SUMMED = ("DEL", "UNLINK", "EXISTS", "TOUCH")

#: The values of commands without any key, as redis-py's client of a Redis Cluster answers them. A server refuses them.
OF_NOTHING: Mapping[Any, int] = dict.fromkeys(_SUMMED, 0)

SPLITS: Mapping[str, KeySplit] = {
    "MGET": KeySplit(None),
    "MSET": KeySplit(all, stride=2),
    **{name: KeySplit(sum) for name in _SUMMED},
}
