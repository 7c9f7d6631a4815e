"""Drafts: queued calls in their short form. A command is made of a draft when somebody looks at it.

Nearly all commands of a large ``map()`` are planned, sent and answered without anybody looking at more than their words. So
an engine may queue just these. A ``Command`` is made of them when a host fails, or when a plugin listens. A draft is
the promise of its call at the same time: one object a command. That counts for the memory of a million of them, and for the
garbage collector, which looks at each object again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Protocol, overload

from nydus_core.command import Command

__all__ = [
    "Commands",
    "Draft",
    "Drafts",
    "Form",
    "are_drafts",
    "command_of",
    "form_of",
    "items_of",
    "keys_of",
    "keys_of_words",
    "waits_of",
    "words_of",
]


class Form(Protocol):
    """The common part of all calls of one command. Each has one key: text or bytes, the first word after the name.

    Such a command has no patterns and no word of a host, and it goes to the host of its key.
    """

    def command(self, words: tuple[Any, ...]) -> Command:
        """Return the command of a call.

        Parameters:
            words: The name and the arguments.
        """
        ...


class Draft:
    """A queued call: its form and its words; or a whole command, if it is not of a form.

    All public names of a promise belong to its value, so a draft has none. Others read it with the functions of this module.
    """

    __slots__ = ("_nydus_form", "_nydus_outcome", "_nydus_words")

    _nydus_form: Form | None
    _nydus_words: Any
    _nydus_outcome: Any


#: Return the form of a draft (None: it holds a whole command), and its words (or that command). They are in C.
form_of, words_of = map(attrgetter, ("_nydus_form", "_nydus_words"))


class Drafts(Protocol):
    """The queue of a ``map()`` block, as an engine sees it that queues drafts.

    Attributes:
        keep: Queues a draft, which must be the promise that the user gets.
        state: The fate of the block, in words, once it has ended. Then nothing may be queued.
    """

    @property
    def keep(self) -> Callable[[Any], None]: ...
    @property
    def state(self) -> str: ...
    def add(self, command: Command) -> Any:
        """Queue a command, and return its promise."""
        ...

    def too_late(self, command: Command) -> Exception:
        """Return the error for a command that comes when the block has ended."""
        ...


def command_of(draft: Draft) -> Command:
    """Return the command of a draft. It is made anew each time, unless the draft holds it."""
    form, words = draft._nydus_form, draft._nydus_words  # pyright: ignore[reportPrivateUsage]
    made: Command = words if form is None else form.command(words)
    return made


def keys_of(drafts: list[Any]) -> list[bytes] | None:
    """Return the key of each draft, as the server sees it; None if some are no drafts of a form."""
    return keys_of_words(map(words_of, drafts)) if are_drafts(drafts) else None


def keys_of_words(rows: Iterable[tuple[Any, ...]]) -> list[bytes]:
    """Return the key of each draft, as the server sees it, given its words."""
    keys = [*map(_second, rows)]
    kinds = set(map(type, keys))
    if kinds == {str}:
        return [*map(str.encode, keys)]
    return keys if kinds == {bytes} else [key if type(key) is bytes else key.encode() for key in keys]


_second = itemgetter(1)


def are_drafts(items: Sequence[Any]) -> bool:
    """Tell whether all items, of which there are some, are drafts."""
    kinds = set(map(type, items))
    return len(kinds) == 1 and issubclass(kinds.pop(), Draft)


class Commands(Sequence[Command]):
    """A sequence of commands, which are made of drafts where these stand in the place of a command.

    Parameters:
        items: Commands and drafts of a form.

    Attributes:
        items: The same.
    """

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Command: ...
    @overload
    def __getitem__(self, index: slice) -> Commands: ...
    def __getitem__(self, index: int | slice) -> Command | Commands:
        if isinstance(index, slice):
            return Commands(self.items[index])
        return _made(self.items[index])

    def __iter__(self) -> Iterator[Command]:
        return map(_made, self.items)

    def append(self, command: Command) -> None:
        """Add a command."""
        self.items.append(command)

    def whole(self) -> Iterable[Command]:
        """Return the commands among the items that are no drafts."""
        if are_drafts(self.items):
            return ()
        return [item for item in self.items if not isinstance(item, Draft)]


def items_of(commands: Sequence[Command]) -> Sequence[Any]:
    """Return the commands, with drafts in the place of those that nobody has looked at."""
    return commands.items if isinstance(commands, Commands) else commands


def waits_of(item: Any) -> float:
    """Return for how many seconds the server may hold back the answer to a command; 0 for a draft."""
    seconds: float = 0.0 if isinstance(item, Draft) else item.waits
    return seconds


def _made(item: Any) -> Command:
    # Not the other way round: Python asks a promise that is no instance of a class for its value's class
    return command_of(item) if isinstance(item, Draft) else item
