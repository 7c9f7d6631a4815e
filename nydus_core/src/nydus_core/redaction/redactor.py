"""The redactor of a host, which takes its secrets out of texts and errors."""

from __future__ import annotations

import contextlib
import inspect
import re
import weakref
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

from nydus_core.redaction.secrets import secrets_in, texts_of
from nydus_core.redaction.texts import HIDDEN, LONG_ENOUGH, patterns_of, without_beginning, without_userinfo

__all__ = ["NO_SECRETS", "Redactor", "redactor_of"]

E = TypeVar("E", bound=BaseException)

#: How many secrets that change, such as tokens, are remembered.
_LATEST = 16
#: How deep the attributes of an error are looked into.
_DEEPEST = 4


class Redactor:
    """Takes the secrets of one host out of texts and errors. Threads may share it.

    Parameters:
        options: The options of the host. Secret are those whose names look so, and users and passwords in URLs.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._fixed: tuple[str, ...] = ()
        self._latest: tuple[str, ...] = ()
        self._users: tuple[str, ...] = ()
        self._echoes: tuple[re.Pattern[str], ...] = ()
        self._known: tuple[object, tuple[re.Pattern[str], ...]] = (), ()
        if options:
            self.know(options)

    # Secrets -----------------------------------------------------------------------------------------------------

    def know(self, options: Mapping[str, Any]) -> None:
        """Take further options of the host into account."""
        found = list(secrets_in(options))
        self._fixed = _joined(self._fixed, [secret for secret, is_user in found if not is_user])
        self._users = _joined(self._users, [user for user, is_user in found if is_user and user != "default"])

    def learn(self, *secrets: object) -> None:
        """Take secrets into account that came up later, such as the token that a connection was greeted with."""
        new = [text for secret in secrets for text in texts_of(secret) if text not in self._fixed]
        self._latest = _joined([each for each in self._latest if each not in new], new)[-_LATEST:]

    def cut(self, echo: re.Pattern[str]) -> None:
        """Cut a text that shows more than can be known. The first group of the pattern is left of the match."""
        self._echoes = (*self._echoes, echo)

    # Texts -------------------------------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Return a text from below without secrets."""
        for echo in self._echoes:
            text = echo.sub(r"\1", text)
        for pattern in self._compiled():
            text = pattern.sub(HIDDEN, text)
        for secret in (*self._fixed, *self._latest):
            text = without_beginning(text, secret)
        return without_userinfo(text)

    def address(self, text: str) -> str:
        """Return a text of our own, such as an address, without secrets. Users and short secrets are left: they are words."""
        for secret in (*self._fixed, *self._latest):
            if len(secret) >= LONG_ENOUGH:
                text = text.replace(secret, HIDDEN)
        return without_userinfo(text)

    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        known, patterns = self._known
        now = self._fixed, self._latest, self._users
        if known != now:  # set together: another thread may learn a secret meanwhile
            patterns = patterns_of((*now[0], *now[1]), now[2])
            self._known = now, patterns
        return patterns

    # Errors ------------------------------------------------------------------------------------------------------

    def clean(self, error: E) -> E:
        """Take the secrets out of an error: out of its text, attributes and notes, its causes and its context.

        The error is changed in place, so that it stays the same for all who hold it. The words of our own in a
        ``HostError``, its host and command, stay as they are. So does an error that the program was handling when it made
        the call: that one is the program's.

        Parameters:
            error: The error.

        Returns:
            The same error.
        """
        seen: set[int] = set()
        todo: list[BaseException] = [error]
        while todo:
            each = todo.pop()
            if id(each) in seen:  # "raise error from error" is a circle
                continue
            seen.add(id(each))
            self._clean(each, todo)
            context = each.__context__
            if context is not None and context is not each.__cause__ and _is_handled_above(context):
                context = None
            todo += [
                other
                for other in (each.__cause__, context, *getattr(each, "exceptions", ()))
                if isinstance(other, BaseException)
            ]
        return error

    @contextmanager
    def cleaning(self) -> Generator[None]:
        """Take the secrets out of any error that leaves the block."""
        try:
            yield
        except Exception as error:
            self.clean(error)
            raise

    def _clean(self, error: BaseException, todo: list[BaseException]) -> None:
        own: Sequence[str] = getattr(type(error), "own_words", ())
        args = error.args if "args" in own else self._value(error.args, todo)
        if args is not error.args:
            error.args = args
        for name, value in list(error.__dict__.items()):
            if name not in own:
                left = self._value(value, todo)
                if left is not value:
                    error.__dict__[name] = left
        for name in _parts_of(type(error)):
            value = _part(error, name)
            left = self._value(value, todo)
            if left is not value:
                _set(error, name, left)
        if not own and type(error).__str__ is not BaseException.__str__:  # else its text is its arguments
            self._silence(error)

    def _silence(self, error: BaseException) -> None:
        """Give an error another text, if its class puts the text together of things that cannot be changed."""
        try:
            shown = str(error)
        except Exception:
            return
        text = self.text(shown)
        if text == shown:
            return
        _give_text(error, type(error), text)

    def _value(self, value: Any, todo: list[BaseException], depth: int = 0) -> Any:
        """Return a value without secrets: the same object, if there are none in it."""
        if isinstance(value, str):
            left: Any = self.text(value)
            return value if left == value else left
        if isinstance(value, bytes | bytearray):
            text = value.decode("utf-8", "surrogateescape")
            left = self.text(text)
            return value if left == text else type(value)(left.encode("utf-8", "surrogateescape"))
        if isinstance(value, BaseException):
            todo.append(value)
        elif depth < _DEEPEST and type(value) in (tuple, list, set, frozenset):
            items = list(value)
            cleaned = [self._value(each, todo, depth + 1) for each in items]
            if any(new is not old for new, old in zip(cleaned, items, strict=True)):
                return type(value)(cleaned)
        elif depth < _DEEPEST and type(value) is dict:
            pairs = {key: self._value(each, todo, depth + 1) for key, each in value.items()}
            if any(pairs[key] is not each for key, each in value.items()):
                return pairs
        return value


def _without_helpers(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the function that has an error cleaned, by itself or with ``cleaning``."""
    while frame is not None and frame.f_code.co_filename in (__file__, contextlib.__file__):
        frame = frame.f_back
    return frame


def _is_handled_above(error: BaseException) -> bool:
    """Tell whether an error was caught in a function that is still under way, above the one that cleans an error."""
    trace, frame = error.__traceback__, _without_helpers(inspect.currentframe())
    while frame is not None and trace is not None:
        frame = frame.f_back
        if frame is trace.tb_frame:
            return True
    return False


def _give_text(error: BaseException, kind: type[BaseException], text: str) -> None:
    """Have an error show a text, and be pickled as no more than its class and this text."""
    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__str__": lambda _: text,
        "__repr__": lambda _: f"{kind.__name__}({text!r})",
        "__reduce__": lambda _: (_with_text, (kind, text)),
    }
    try:
        error.__class__ = type(kind.__name__, (kind,), body)
    except TypeError:  # a class of Python's own
        error.args = (text,)


def _with_text(kind: type[BaseException], text: str) -> BaseException:
    error = kind.__new__(kind)
    error.args = (text,)
    _give_text(error, kind, text)
    return error


#: Attributes in which Python's own errors keep the parts of their texts.
_BUILT_IN = ("strerror", "filename", "filename2", "reason", "object", "msg", "text", "doc", "value")


#: The attributes among these that errors of a class have. Classes come and go, so they are not kept alive.
_parts: weakref.WeakKeyDictionary[type[BaseException], tuple[str, ...]] = weakref.WeakKeyDictionary()


def _parts_of(kind: type[BaseException]) -> tuple[str, ...]:
    found = _parts.get(kind)
    if found is None:
        found = tuple(name for name in _BUILT_IN if inspect.isdatadescriptor(getattr(kind, name, None)))
        _parts[kind] = found
    return found


def _part(error: BaseException, name: str) -> Any:
    with suppress(Exception):  # a property may raise anything
        return getattr(error, name, None)
    return None


def _set(error: BaseException, name: str, value: Any) -> None:
    with suppress(Exception):  # if it cannot be set, ``_silence`` sees to the text
        setattr(error, name, value)


#: The redactor where there are no secrets to know.
NO_SECRETS = Redactor()


def redactor_of(engine: object) -> Redactor:
    """Return the redactor of a host. An engine that does not start from ``EngineBase`` may have none."""
    found = getattr(type(engine), "redactor", None) or getattr(engine, "__dict__", {}).get("redactor")
    return found if isinstance(found, Redactor) else NO_SECRETS


def _joined(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in (*first, *second) if each))
