"""Commands as a server describes them in its answer to COMMAND and COMMAND INFO, put into the terms of the table.

``tools/command_table.py`` makes the table of such entries. A cluster asks for an entry where the table has none. Nothing
here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nydus_core.command import key_bytes
from nydus_redis.commands.table import CommandSpec

__all__ = ["UNKNOWN", "Entry", "read_entry", "specs_told"]

#: The rule for keys that a server finds in a way which the table has no words for.
UNKNOWN = "unknown"

#: RediSearch says that the name of an index is a key. So an index would be made, or changed, on one host alone.
_MISTOLD = ("FT.", "_FT.")


class Entry(NamedTuple):
    """A command as a server describes it. The fields are columns of the table.

    Attributes:
        name: The name, a subcommand with a blank: ``OBJECT ENCODING``.
        access: ``read`` or ``write``.
        keys: The rule for the keys. With ``unknown`` in it, nobody can tell the keys.
        scope: ``all`` or ``host``.
        flags: ``blocking`` or ``-``.
    """

    name: str
    access: str
    keys: str
    scope: str
    flags: str


def read_entry(info: Any) -> Entry:
    """Read an entry of the answer to COMMAND, over RESP2 or RESP3, of bytes or of text.

    Raises:
        LookupError, TypeError, ValueError: This is no such entry.
    """
    flags, tips = _words(info[2]), _words(info[7] if len(info) > 7 else ())
    keys = _rules(info, flags)
    everywhere = tips & {"request_policy:all_nodes", "request_policy:all_shards"}
    return Entry(
        name=_text(info[0]).upper().replace("|", " "),
        # A command that does not claim to read only, such as EVAL, may do anything, and must not be repeated.
        access="read" if "readonly" in flags else "write",
        keys=keys,
        scope="all" if everywhere and keys == "-" else "host",
        flags="blocking" if "blocking" in flags else "-",
    )


def specs_told(name: str, answer: Any) -> Mapping[str, CommandSpec]:
    """Return the specs in a server's answer to ``COMMAND INFO name``, by name. A subcommand has a name of two words.

    Parameters:
        name: The name that was asked for, in capitals. An administrator may have renamed the command.
        answer: The answer. If nothing can be read from it, or the module is known to tell something else, there are no specs.
    """
    if name.startswith(_MISTOLD):
        return {}
    try:
        return dict(_specs(name, answer[0])) if answer[0] else {}
    except (LookupError, TypeError, ValueError, AttributeError):
        return {}


def _specs(name: str, info: Any) -> Iterator[tuple[str, CommandSpec]]:
    inner = info[9] if len(info) > 9 else ()
    for each in inner or ():
        entry = read_entry(each)
        yield from _spec(f"{name} {entry.name.split()[-1]}", entry)
    if not inner:  # a container does nothing by itself
        yield from _spec(name, read_entry(info))


def _spec(name: str, entry: Entry) -> Iterator[tuple[str, CommandSpec]]:
    if UNKNOWN not in entry.keys:
        yield name, CommandSpec(name, entry.access, entry.keys, entry.scope, entry.flags, 0)


def _rules(info: Any, flags: set[str]) -> str:
    if len(info) > 8:
        return " ".join(_key_rule(_pairs(spec)) for spec in info[8]) or "-"
    if "movablekeys" in flags:  # a server older than 7.0 gives no details
        return UNKNOWN
    first, last, step = info[3:6]
    return _range(first, last, step) if first else "-"


def _key_rule(spec: Mapping[str, Any]) -> str:
    """Turn a server's key specification into a word of a key rule."""
    begin, find = _pairs(spec["begin_search"]), _pairs(spec["find_keys"])
    if _text(begin["type"]) != "index" or "incomplete" in _words(spec.get("flags", ())):
        return UNKNOWN
    first, how = _pairs(begin["spec"])["index"], _pairs(find["spec"])
    if _text(find["type"]) == "keynum":
        step = f"/{how['keystep']}" if how["keystep"] != 1 else ""
        return f"#{first}{step}" if (how["keynumidx"], how["firstkey"]) == (0, 1) else UNKNOWN
    if _text(find["type"]) != "range" or how["limit"]:
        return UNKNOWN
    return _range(first, how["lastkey"] if how["lastkey"] < 0 else first + how["lastkey"], how["keystep"])


def _range(first: int, last: int, step: int) -> str:
    return str(first) if last == first else f"{first}..{last}{f'/{step}' if step != 1 else ''}"


def _pairs(given: Any) -> dict[str, Any]:
    """Return a dict. RESP2 gives a map as a flat list."""
    items = given.items() if isinstance(given, dict) else zip(given[::2], given[1::2], strict=True)
    return {_text(key): value for key, value in items}


def _words(given: Any) -> set[str]:
    return {_text(word) for word in given}


def _text(word: Any) -> str:
    return key_bytes(word).decode()
