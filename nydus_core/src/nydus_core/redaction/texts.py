"""Texts without secrets: known ones, in all their forms, and users and passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nydus_core.redaction.secrets import forms_of

__all__ = ["HIDDEN", "LONG_ENOUGH", "patterns_of", "without_beginning", "without_userinfo"]

#: Stands for a secret.
HIDDEN = "***"

#: Secrets shorter than this are taken out only as whole words. A short text is found in many others.
LONG_ENOUGH = 6
#: Of a secret of ``_LONG`` characters, a text may show the first ``_BEGINNING`` or more: servers cut long texts.
_LONG, _BEGINNING = 12, 8


def patterns_of(secrets: Iterable[str], users: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Return patterns that find secrets in a text: short ones, and the names of users, only as whole words."""
    whole = {form for user in users for form in forms_of(user)}
    parts: set[str] = set()
    for secret in secrets:
        for form in forms_of(secret):
            (whole if len(form) < LONG_ENOUGH else parts).add(form)
    return tuple(
        re.compile(f"{before}(?:{'|'.join(map(re.escape, sorted(forms, key=len, reverse=True)))}){after}")
        for before, forms, after in (("", parts, ""), (r"(?<!\w)", whole, r"(?!\w)"))
        if forms
    )


def without_beginning(text: str, secret: str) -> str:
    """Take out the beginning of a long secret, where a text was cut in the middle of it."""
    if len(secret) < _LONG:
        return text
    beginning = secret[:_BEGINNING]
    kept: list[str] = []
    done, start = 0, text.find(beginning)
    while start >= 0:
        length = _BEGINNING
        while secret.startswith(text[start : start + length + 1]) and start + length < len(text):
            length += 1
        kept += [text[done:start], HIDDEN]
        done = start + length
        start = text.find(beginning, done)
    return "".join([*kept, text[done:]]) if kept else text


def without_userinfo(text: str) -> str:
    """Return a text whose URLs name no users and passwords."""
    if "@" not in text or "://" not in text:
        return text
    return re.sub(r"\S+", lambda run: _without_userinfo(run[0]), text)


def _without_userinfo(run: str) -> str:
    """Do so in a text without spaces. One way through it: texts from below may be long, and made to be slow to search."""
    kept: list[str] = []
    done, last = 0, run.rfind("@")
    mark = run.find("://")
    while 0 <= mark < last:
        start = mark + len("://")
        if re.match(r"[\w+.-]", run[mark - 1 : mark]):  # else it is no URL
            at = run.find("@", start)
            user = run[start:at]
            if ":" in user:  # up to the last @, for nobody knows where a password with a @ ends
                at = last
            if ":" in user or (user and "/" not in user):
                kept += [run[done:start], HIDDEN]
                done = at
            start = at
        mark = run.find("://", start)
    return "".join([*kept, run[done:]])
