"""Routers of other packages, which start from ``NodeRouter``: their options are told, and hash tags are applied for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.routers.rules import as_plain

__all__ = ["definer", "given_tags", "is_built_in", "locate_all", "options_told"]


def is_built_in(kind: type[Any]) -> bool:
    """Tell whether a class of routers comes with the core."""
    return kind.__module__.startswith(f"{__package__}.")


def definer(kind: type[Any], name: str) -> type[Any]:
    """Return the class from which a class has a method."""
    return next(each for each in kind.__mro__ if name in vars(each))


def given_tags(locate: Callable[..., str]) -> Callable[..., str]:
    """Return the ``locate`` of a subclass, called with the hash tag of a key where tags count."""

    @wraps(locate)
    def located(self: Any, key: bytes, *args: Any, **kwargs: Any) -> str:
        if self.hash_tags:
            key = self._tag_of(key)
        return locate(self, key, *args, **kwargs)

    return located


def locate_all(router: Any) -> Callable[[Sequence[bytes]], Iterable[str]]:
    """Return the function that gives the names of the hosts of many keys, in the order of the keys.

    A router may have a method for it, ``locate_all(keys)``, which is quicker than a call of ``locate`` for each key. It counts
    if it comes from the class that ``locate`` comes from, or from a subclass: a ``locate`` of a subclass alone is asked.

    Parameters:
        router: A router by key.
    """
    kinds = type(router).__mro__
    for kind in kinds:
        if "locate_all" in vars(kind):
            return router.locate_all  # type: ignore[no-any-return]
        if "locate" in vars(kind):
            break
    locate = router.locate
    return lambda keys: map(locate, keys)


#: Options that ``parameters()`` and the hosts of a rule tell. Labels that are given may be secret.
_TOLD_OTHERWISE = ("hash_tags", "label", "labels")


def options_told(kind: type[Any], args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a router of another package is made, as plain data.

    Raises:
        ConfigError: An option is no plain data.
    """
    signature = inspect.signature(kind.__init__)
    try:
        bound = signature.bind(None, *args, **options)
    except TypeError:  # the constructor says it better
        return {}
    bound.apply_defaults()
    further = {each.name for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD}
    given: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[2:]:  # without the router and its nodes
        given.update(value if name in further else {name: value})
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in _TOLD_OTHERWISE:
            continue
        try:
            found[name] = as_plain(value)
        except TypeError as error:
            raise ConfigError(
                f"{error}: the fingerprint of {kind.__qualname__} could not tell this option from others. Define "
                "parameters(), which returns plain data that does",
                f"router.{name}",
            ) from None
    return found
