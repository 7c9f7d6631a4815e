"""Profiles: a family of rules with parameters, under a name; and the router class of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import Parameter, Signature
from types import MappingProxyType
from typing import Any, NamedTuple

from nydus_core.checks import choose
from nydus_core.errors import ConfigError
from nydus_core.routers.keyed import KeyRouter, LabelledRouter
from nydus_core.routers.labels import BY_ADDRESS
from nydus_core.routers.protocol import Node

__all__ = ["Profile", "router_class"]


class Profile(NamedTuple):
    """A row of the table.

    Attributes:
        name: The name in the settings.
        rule: The name of the family: of the class that places keys.
        source: The implementation that the profile follows, with its version.
        parameters: The parameters of the family.
        options: The parameters that the settings may change, besides hash tags and labels; each with its
            values by their names in the settings, or None for any value.
        weighted: Whether hosts may have weights.
        differs: The differences from the source, and why.
    """

    name: str
    rule: str
    source: str
    parameters: Mapping[str, Any] = MappingProxyType({})
    options: Mapping[str, Mapping[str, str] | None] = MappingProxyType({})
    weighted: bool = True
    differs: str = ""

    @property
    def family(self) -> type[KeyRouter]:
        """The class that places keys. Its module is imported when it is first used."""
        family: type[KeyRouter] = getattr(import_module("nydus_core.routers"), self.rule)
        return family

    @property
    def all_options(self) -> tuple[str, ...]:
        """The names of all options of the profile."""
        tags = () if "hash_tag" in self.options else ("hash_tags",)
        labels = ("label", "labels") if issubclass(self.family, LabelledRouter) else ()
        return (*self.options, *tags, *labels)

    def settle(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of the family, for options from the settings.

        Raises:
            ConfigError: An option is unknown, or has a value that the source does not know.
        """
        settled = dict(self.parameters)
        for option, value in given.items():
            if option not in self.all_options:
                known = ", ".join(sorted(self.all_options))
                raise ConfigError(f"unknown option of {self.name!r}; known: {known}", f"router.{option}")
            values = self.options.get(option)
            settled[option] = value if values is None else choose(values, value, f"router.{option}")
        return settled

    @property
    def by_address(self) -> bool:
        """Whether the profile hashes addresses or identifiers of hosts, unless its options say otherwise."""
        return self.parameters.get("label", "name") in BY_ADDRESS


_BY_ADDRESS = "A host that gets another address loses its place, unless 'labels' pin it."


def router_class(row: Profile, module: str) -> type[KeyRouter]:
    """Return the router of a profile: a subclass of its family that takes the options of the profile.

    Parameters:
        row: The profile.
        module: The module that has the class, under the name of the profile with underscores.
    """

    def __init__(self: Any, nodes: Sequence[Node], **options: Any) -> None:
        family.__init__(self, nodes, **row.settle(options))

    family = row.family
    name = row.name.replace("-", "_")
    body: dict[str, Any] = {
        "__init__": __init__,
        "__doc__": " ".join((f"Places keys as {row.source}.", _BY_ADDRESS * row.by_address, row.differs)),
        "__module__": module,
        "__signature__": _signature(row),
        "profile": row.name,
        "weighted": row.weighted,
        "by_address": row.by_address,
    }
    return type(name, (family,), body)


def _signature(row: Profile) -> Signature:
    """Return the signature of the class, against which the settings are checked."""
    options = [Parameter(option, Parameter.KEYWORD_ONLY) for option in row.all_options]
    return Signature([Parameter("nodes", Parameter.POSITIONAL_OR_KEYWORD), *options])
