"""Legal calls of every command that a server has, made of what ``COMMAND DOCS`` says of the arguments."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["TAGS", "Documented", "Words"]

#: The words of a call behind its name.
Words = list[str]

#: Hash tags of three slots. The keys of half of the calls bear one of them, the keys of the other half any of them.
TAGS = ("{a}", "{b}", "{c}")


class Documented:
    """The commands that a server documents.

    Parameters:
        docs: The answer to ``COMMAND DOCS``, over RESP3.
        entries: The answer to ``COMMAND``, over RESP3, with bytes.

    Attributes:
        names: The names, as the table has them: a subcommand with a blank. Containers that do nothing by themselves are left
            out.
    """

    def __init__(self, docs: Mapping[Any, Any], entries: Sequence[Any]) -> None:
        inner = {name: doc for each in docs.values() for name, doc in each.get(b"subcommands", {}).items()}
        self._arguments = {
            name_of(name): doc.get(b"arguments", ()) for name, doc in {**docs, **inner}.items()
        }
        every = itertools.chain.from_iterable((entry, *entry[9]) for entry in entries)
        self._arity = {name_of(entry[0]): entry[1] for entry in every if not entry[9] or entry[1] == -1}
        self.names = sorted(self._arity)

    def tells_of(self, name: str) -> bool:
        """Tell whether a command's arguments are documented."""
        return bool(self._arguments.get(name))

    def words(self, name: str, pick: random.Random) -> Words:
        """Return random legal words behind a name."""
        tags = TAGS if pick.random() < 0.5 else pick.choices(TAGS)
        maker, arguments = _Maker(pick, tags), self._arguments.get(name)
        if arguments:
            return maker.sequence(arguments)
        arity = self._arity[name]
        return maker.keys(abs(arity) - len(name.split()) + (pick.randrange(6) if arity < 0 else 0))


def name_of(name: bytes) -> str:
    """Return the name of a command as the table has it."""
    return name.decode().upper().replace("|", " ")


class _Maker:
    """Makes the words of one call."""

    def __init__(self, pick: random.Random, tags: Sequence[str]) -> None:
        self._pick = pick
        self._tags = tags
        self._kinds: dict[bytes, Callable[[], str]] = {
            b"key": self._key,
            b"pattern": self._pattern,
            b"double": lambda: pick.choice(["0.001", "0.002"]),
            b"string": lambda: f"word{pick.randrange(9)}",
        }

    def keys(self, count: int) -> Words:
        """Return keys alone, for a command whose arguments are not documented."""
        return [self._key() for _ in range(count)]

    def sequence(self, arguments: Sequence[Any]) -> Words:
        """Return the words of arguments that follow one another.

        A number such as ``numkeys`` is that of the repetitions that follow it. Repetitions that follow one another are as
        many: keys and their ids.
        """
        words: Words = []
        count = 0
        none: Any = {}
        for argument, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=none):
            flags = argument.get(b"flags", ())
            if b"optional" in flags and self._pick.random() < 0.5:
                continue
            counts = argument[b"name"].startswith(b"num") and b"multiple" in following.get(b"flags", ())
            count = count or self._pick.randrange(1, 4)
            if counts:
                words += [*_token(argument), str(count)]
            elif b"multiple" in flags:
                words += self._repeated(argument, count, b"multiple_token" in flags)
            else:
                words += [*_token(argument), *self._one(argument)]
        return words

    def _repeated(self, argument: Any, count: int, token_too: bool) -> Words:
        each = [self._one(argument) for _ in range(count)]
        if token_too:
            return [word for words in each for word in (*_token(argument), *words)]
        return [*_token(argument), *(word for words in each for word in words)]

    def _one(self, argument: Any) -> Words:
        kind = argument[b"type"]
        if kind == b"pure-token":
            return []
        if kind == b"block":
            return self.sequence(argument[b"arguments"])
        if kind == b"oneof":
            return self.sequence([self._pick.choice(argument[b"arguments"])])
        return [self._kinds.get(kind, self._number)()]

    def _key(self) -> str:
        return f"{self._pick.choice(['', 'k'])}{self._pick.choice(self._tags)}{self._pick.randrange(9)}"

    def _number(self) -> str:
        return str(self._pick.randrange(1, 4))

    def _pattern(self) -> str:
        tag = self._pick.choice(self._tags)
        forms = [
            "w_*",
            "*",
            "#",
            "nosort",
            "{}*",
            "{*}",
            f"{tag}*",
            f"w_{tag}_*",
            f"{tag}h_*->f",
            f"h_*->{tag}",
            f"*{tag}",
        ]
        return self._pick.choice([*forms, f"w?{tag}*", f"{{}}{tag}*", tag])


def _token(argument: Any) -> Words:
    return [argument[b"token"].decode().strip('"')] if b"token" in argument else []
