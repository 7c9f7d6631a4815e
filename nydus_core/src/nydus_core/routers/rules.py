"""Rules as plain data: a digest, and the differences between two rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nydus_core.wording import written

__all__ = ["as_plain", "differences", "digest"]


def digest(data: Any) -> str:
    """Return 16 hexadecimal digits that stand for some plain data, the same in any process.

    Parameters:
        data: Lists, dicts with text as keys, text, numbers, booleans and None. The order of dicts does not count.
    """
    from hashlib import blake2b  # which loads OpenSSL

    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def as_plain(value: Any) -> Any:
    """Return an option of a router as plain data, for a rule.

    Parameters:
        value: Text, bytes, a number, a boolean, None, or lists, tuples, sets and dicts of these.

    Raises:
        TypeError: The value has no such form: nobody could compare it in another process.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(as_plain(name)): as_plain(each) for name, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((as_plain(each) for each in value), key=repr)
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    raise TypeError(f"found {type(value).__name__}; expected plain data")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the differences between two rules.

    A rule is plain data, as ``router.rule()`` returns it.

    Parameters:
        old: One rule.
        new: The other.

    Returns:
        A line for each difference, such as ``host 'b': weight 1, now 2``; none for equal rules.
    """
    found = [
        f"{name}: {old[name]!r}, now {new[name]!r}"
        for name in ("family", "profile")
        if old[name] != new[name]
    ]
    before, after = dict(old["parameters"]), dict(new["parameters"])
    if before.get("slots") and after.get("slots"):
        found += _slots_differ(before.pop("slots"), after.pop("slots"))
    found += _changes("", before, after)
    return found + _hosts_differ(old["hosts"], new["hosts"])


def _changes(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    absent = "absent"
    return [
        f"{where}{name} {written(old.get(name, absent))}, now {written(new.get(name, absent))}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name, absent) != new.get(name, absent)
    ]


def _slots_differ(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> list[str]:
    """Return a line on the slots that have another host: there may be thousands."""
    before, after = _owners(old), _owners(new)
    moved = [slot for slot in sorted(before | after) if before.get(slot) != after.get(slot)]
    if not moved:
        return []
    some = ", ".join(f"slot {slot} of {before.get(slot)!r}, now of {after.get(slot)!r}" for slot in moved[:3])
    return [f"slots: {len(moved)} have another host: {some}{', …' if len(moved) > 3 else ''}"]


def _owners(slots: Mapping[str, list[str]]) -> dict[int, str]:
    """Return the host of each slot, of ranges such as ``'0-5460'`` by the names of hosts."""
    found: dict[int, str] = {}
    for name, ranges in slots.items():
        for each in ranges:
            first, _, last = each.partition("-")
            found |= dict.fromkeys(range(int(first), int(last or first) + 1), name)
    return found


def _hosts_differ(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    before, after = ({host["name"]: host for host in hosts} for hosts in (old, new))
    found = [f"host {name!r}: gone" for name in before if name not in after]
    found += [f"host {name!r}: new" for name in after if name not in before]
    for name in before:
        if name in after:
            found += _changes(f"host {name!r}: ", before[name], after[name])
    stay = [[name for name in hosts if name in before and name in after] for hosts in (before, after)]
    if stay[0] != stay[1]:
        found.append(f"order of the hosts: {', '.join(before)}; now {', '.join(after)}")
    return found
