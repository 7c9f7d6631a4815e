"""Labels: the texts that rules hash for hosts. By default the name; for another client's rule, that client's text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.routers.protocol import Node, where

__all__ = ["BY_ADDRESS", "LABELS", "labels_of"]

MEMCACHED_PORT = ":11211"


def _address(node: Node) -> str:
    if not node.address:
        raise ConfigError(
            "this host has no address, and the router places keys by addresses; give each host its label with the "
            "router's option 'labels', or choose a router that goes by names, such as 'slots'",
            where(node),
        )
    return node.address


def _short(node: Node) -> str:
    """Return the address without memcached's own port, as libmemcached and twemproxy do."""
    return _address(node).removesuffix(MEMCACHED_PORT)


def _host_and_port(address: str) -> tuple[str, str]:
    """Return the two parts of an address; for the path of a unix socket, the path and no port."""
    host, _, port = address.rpartition(":")
    return (host, port) if port.isdecimal() else (address, "")


def _memcachio(node: Node) -> str:
    """Return the text of an endpoint of memcachio 0.5.1."""
    host, port = _host_and_port(_address(node))
    return f"TCPEndpoint(host={host!r}, port={port})" if port else host


def _rb(node: Node) -> str:
    """Return the ``repr`` of a HostInfo of rb 1.11.0, for a host without password and TLS."""
    if not node.name.isdecimal():
        raise ConfigError(
            f"found the name {node.name!r}; rb knows hosts by numbers: name it by its number", "hosts"
        )
    address = _address(node)
    host, port = _host_and_port(address)
    path = None if port else address
    host, port = host if port else "localhost", port or "6379"
    return (
        f"<HostInfo db={node.db} host={host!r} host_id={int(node.name)} password=None port={port} ssl=False "
        f"ssl_options=None unix_socket_path={path!r}>"
    )


#: Every way to label a host, by name; each takes the host and its position.
LABELS: dict[str, Callable[[Node, int], str]] = {
    "name": lambda node, _: node.name,
    "identifier": lambda node, _: node.identifier,
    "address": lambda node, _: _address(node),
    "short-address": lambda node, _: _short(node),
    "slash-address": lambda node, _: f"/{_address(node)}",
    "position": lambda _, position: f"SHARD-{position}-NODE",
    "rb": lambda node, _: _rb(node),
    "memcachio": lambda node, _: _memcachio(node),
    "zero-address": lambda node, _: "\0".join(_host_and_port(_address(node))),
}

#: The ways whose labels change with the address of a host.
BY_ADDRESS = frozenset(
    {"identifier", "address", "short-address", "slash-address", "rb", "memcachio", "zero-address"}
)


def labels_of(nodes: Sequence[Node], label: str, pinned: Mapping[str, str]) -> tuple[str, ...]:
    """Return the label of each host.

    Parameters:
        nodes: The hosts, in host order.
        label: The way to make labels, one of ``LABELS``.
        pinned: Labels that are given, by the names of hosts.

    Raises:
        ConfigError: Two hosts have one label, a host cannot be labelled so, or a given label belongs to no host.
    """
    _check_pinned(nodes, pinned)
    make = LABELS[label]
    labels = tuple(
        pinned[node.name] if node.name in pinned else make(node, position)
        for position, node in enumerate(nodes)
    )
    first: dict[str, Node] = {}
    for node, found in zip(nodes, labels, strict=True):
        other = first.setdefault(found, node)
        if other is not node:
            raise ConfigError(_twice(label, other, node, "" if node.name in pinned else found), "hosts")
    return labels


def _check_pinned(nodes: Sequence[Node], pinned: Any) -> None:
    names = {node.name for node in nodes}
    if not isinstance(pinned, Mapping):
        raise ConfigError(f"found {type(pinned).__name__}; expected a dict of texts by host", "router.labels")
    for name, label in pinned.items():
        if name not in names:
            raise ConfigError(
                f"there is no host {name!r}; hosts: {', '.join(sorted(names))}", "router.labels"
            )
        if not isinstance(label, str):
            raise ConfigError(f"found {type(label).__name__}; expected text", f"router.labels[{name!r}]")


def _twice(label: str, one: Node, other: Node, found: str) -> str:
    kind = label if label == "identifier" else "label"
    shown = f", {found!r}" if found else ""
    return (
        f"hosts {one.name!r} and {other.name!r} have one {kind}{shown}; this router tells hosts apart by it: give "
        f"one of them another address{', or an identifier' if label == 'identifier' else ''}"
    )
