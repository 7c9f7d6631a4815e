"""The settings of one host, in every form that is accepted, become the options of an engine, and are checked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from nydus_core.addresses import UnreadableUrl, check_host, check_url, read_address
from nydus_core.checks import check_type, refuse, refuse_unknown
from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain
from nydus_core.readers import read_dict, read_list
from nydus_core.redaction import Redactor
from nydus_core.settings.texts import from_text
from nydus_core.wording import nearest, shown, text_of, without_secrets

__all__ = ["check_options", "own_options"]


def own_options(engine: type[Any], given: Any, path: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the options and the positional arguments that a host's settings give.

    Parameters:
        engine: The class that talks to the host.
        given: A dict, a URL, a list of positional arguments, or the first positional argument alone.
        path: The place of the host in the settings.

    Raises:
        ConfigError: It is in none of these forms, or the engine does not take it.
    """
    given = plain(given)
    if given is None:
        return {}, ()
    if is_a(given, Mapping):
        return read_dict(given, path, "a dict of options"), ()
    if type(given) is str and "://" in given:
        return _from_url(engine, given, path), ()
    is_list = is_a(given, Sequence) and not is_a(given, str, bytes)
    args = tuple(read_list(given, path, "a list of options")) if is_list else (given,)
    known = _option_types(engine)
    if known is None:
        return {}, args
    if type(given) is str and _is_address(given, known):
        return _from_address(given, known, path), ()
    if len(args) > len(known):
        raise ConfigError(
            f"found {len(args)} arguments; expected at most {len(known)}: {', '.join(known)}", path
        )
    return dict(zip(known, args, strict=False)), ()


def _is_address(text: str, known: Mapping[str, Any]) -> bool:
    """Tell whether a text for a host is an address: by its looks, or as the first option of the engine is the host."""
    return "host" in known and (next(iter(known)) == "host" or re.fullmatch(r"[^:]+:\d+", text) is not None)


def _from_address(text: str, known: Mapping[str, Any], path: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = dict(read_address(text))
    except ValueError as error:
        raise ConfigError(f"found {shown(text)}: {error}", path) from None
    for name in options:
        if name not in known:
            raise ConfigError(f"found {shown(text)}; this engine has no option {name!r}", path)
    return options


def _from_url(engine: type[Any], url: str, path: str) -> dict[str, Any]:
    scheme = url.partition("://")[0].lower()
    schemes: Sequence[str] = getattr(engine, "url_schemes", ())
    if scheme not in schemes:
        takes = f"takes {', '.join(f'{known}://' for known in schemes)}" if schemes else "takes no URLs"
        raise ConfigError(
            f"found {shown(url)}; engine {engine.__name__} {takes}{nearest(scheme, schemes)}", path
        )
    try:
        _, _, behind = check_url(url)
        options: dict[str, Any] = dict(engine.from_url(url))
    except UnreadableUrl as error:
        raise ConfigError(f"found {shown(url)}: {error}", path) from None
    except ConfigError as error:
        raise Redactor({"url": url}).clean(error).under(path) from None
    except Exception as error:
        # Not chained: the cause may show the URL, password and all. A URL in its text goes, whatever it is.
        why = without_secrets(Redactor({"url": url}).text(text_of(error).replace(url, f"{scheme}://***")))
        raise ConfigError(f"found {shown(url)}: {why}", path) from None
    texts = dict(parse_qsl(behind.partition("?")[2], keep_blank_values=True))
    return {
        name: _converted(engine, name, value, path) if texts.get(name) == value else value
        for name, value in options.items()
    }


def _converted(engine: type[Any], name: str, text: str, path: str) -> Any:
    """Return the value that the text of an option in a URL stands for, as far as the engine tells the type of the option."""
    known = _option_types(engine) or {}
    kinds = (float, int) if name == "weight" else known.get(name) or _parameter_types(engine, name)
    return from_text(text, kinds if isinstance(kinds, tuple) else (kinds,), f"{path}.{name}")


def _parameter_types(engine: type[Any], name: str) -> tuple[type, ...]:
    """Return the types that the constructor of an engine has for an option: by its default value or its annotation."""
    parameter = inspect.signature(engine).parameters.get(name)
    if parameter is None:
        return (str,)
    if isinstance(parameter.default, bool | int | float):
        return (type(parameter.default),)
    words = set(re.findall(r"\w+", str(parameter.annotation)))
    found: tuple[type, ...] = tuple(kind for kind in (bool, int, float, str) if kind.__name__ in words)
    return found or (str,)


def _option_types(engine: type[Any]) -> Mapping[str, Any] | None:
    types: Mapping[str, Any] | None = engine.option_types() if hasattr(engine, "option_types") else None
    return types


def check_options(engine: type[Any], options: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Check the options of a host. Return them, those whose types the engine tells as plain values.

    Parameters:
        engine: The class that talks to the host.
        options: The options, by name.
        path: The place of the options in the settings.

    Raises:
        ConfigError: An option is unknown, refused, or of another type.
    """
    known = _option_types(engine)
    if known is None:
        return dict(options)
    refused: Mapping[str, str] = getattr(engine, "refused_options", {})
    useful = [name for name in known if name not in refused]
    refuse_unknown({name: None for name in options if name not in refused}, [*useful, "weight"], path)
    try:
        refuse({name: name not in known or value for name, value in options.items()}, refused)
    except ConfigError as error:
        raise error.under(path) from None
    found: dict[str, Any] = {}
    for name, value in options.items():
        expected = known.get(name)
        found[name] = value if expected is None else check_type(value, expected, f"{path}.{name}")
        if name == "host" and is_a(value, str):
            check_host(plain(value), f"{path}.{name}")
    return found
