"""Addresses of hosts as users write them: URLs, ``host:port``, and the paths of unix sockets. One reader for all rooms.

Readers of URLs guess: a ``#`` in a password makes the rest a fragment, and the client connects to another host without a
password. Here anything that can be read in two ways is refused. No error repeats a part of a URL, for it may be a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from nydus_core.errors import ConfigError

__all__ = ["UnreadableUrl", "Url", "check_host", "check_socket_path", "check_url", "read_address", "read_url"]

#: The remedy for a character that means something in a URL.
_ENCODE = "percent-encode it, for instance with urllib.parse.quote(password, safe='')"


class Url(NamedTuple):
    """The parts of a URL, with percent-encoded characters decoded.

    Attributes:
        scheme: The scheme, in small letters.
        username: The user; None if there is none.
        password: The password; None if there is none.
        host: The name or address of the host, without brackets; empty if there is none.
        port: The port; None if there is none.
        path: The path, with its first slash; empty if there is none.
        query: The options behind the ``?``, as text, in order.
    """

    scheme: str
    username: str | None
    password: str | None
    host: str
    port: int | None
    path: str
    query: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:  # without the password
        return f"<Url of {self.scheme}>"

    def with_query(self, found: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the URL stands for.

        Parameters:
            found: The options that its parts give; None for a part that it has not.
            options: The options behind the ``?``. They count where a part says the same.

        Raises:
            UnreadableUrl: There is a user without a host.
        """
        has_user = self.username is not None or self.password is not None
        if has_user and not self.host and not found.get("unix_socket_path"):
            raise UnreadableUrl(
                f"there is no host behind the '@'; if a user or a password has a '@', {_ENCODE}"
            )
        given = {name: value for name, value in found.items() if value is not None}
        return {**given, **options}


class UnreadableUrl(ValueError):
    """A URL cannot be read, or can be read in two ways. The text says what to do, and shows no part of the URL."""


def check_url(url: str) -> tuple[str, str, str]:
    """Refuse a URL that can be read in two ways.

    Returns:
        The scheme; the authority, that is user, password, host and port; and path and query.

    Raises:
        UnreadableUrl: The URL has a fragment, a space, or a ``@`` behind the host. The error says what to do.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is None:
        raise UnreadableUrl("it has no scheme, such as redis://")
    if re.search(r"[\s\x00-\x1f\x7f]", rest):
        raise UnreadableUrl(
            f"it has a space or a control character; if a user or a password has one, {_ENCODE}"
        )
    if "#" in rest:
        raise UnreadableUrl(
            f"it has a '#', behind which everything would be left out; if a user or a password has one, {_ENCODE}"
        )
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:
        raise UnreadableUrl(
            f"it has a '@' behind the host; if a user or a password has a '/', '?' or '@', {_ENCODE}"
        )
    return scheme.lower(), authority, behind


def read_url(url: str) -> Url:
    """Read a URL of one host: ``scheme://user:password@host:port/path?option=value``.

    Raises:
        UnreadableUrl: The URL cannot be read, or can be read in two ways. The error says what to do, and shows no part of it.
    """
    scheme, authority, behind = check_url(url)
    userinfo, at, place = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    try:
        host, port = _host_and_port(place)
    except ValueError as error:
        hint = "" if at else f"; if it is the end of a password, {_ENCODE}"
        raise UnreadableUrl(f"{error}{hint}") from None
    path, _, query = behind.partition("?")
    names = [piece.partition("=")[0] for piece in query.split("&") if piece]
    if len(set(names)) < len(names):
        raise UnreadableUrl("an option stands twice in it")
    if any(piece and "=" not in piece for piece in query.split("&")):
        raise UnreadableUrl(f"an option has no '='; if a user or a password has a '&', {_ENCODE}")
    return Url(
        scheme,
        unquote(user) if user else None,
        unquote(password) if colon else None,
        unquote(host),
        port,
        unquote(path),
        tuple(parse_qsl(query, keep_blank_values=True)),
    )


def _host_and_port(place: str) -> tuple[str, int | None]:
    """Read ``host``, ``host:port``, ``[::1]`` or ``[::1]:port``; the errors show nothing of it."""
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", place)
    if bracketed is not None:
        if not _is_ipv6(bracketed[1]):
            raise ValueError("there is no IPv6 address in the brackets")
        return bracketed[1], None if bracketed[2] is None else _port(bracketed[2])
    if place.count(":") > 1 and _is_ipv6(place):
        raise ValueError("an IPv6 address needs brackets: [::1]:port")
    host, colon, port = place.partition(":")
    if "," in host or "[" in host or "]" in host:
        raise ValueError("the host is neither a name nor an address")
    if colon and not host:
        raise ValueError("there is a port without a host")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) is None or not 0 < int(text) < 65536:
        problem = "no number behind the colon" if not text else "a port that is no number from 1 to 65535"
        raise ValueError(f"there is {problem}")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def read_address(text: str) -> dict[str, str | int]:
    """Read the address of a host that is written as one text.

    Parameters:
        text: ``host``, ``host:port``, ``::1``, ``[::1]:port``, ``/path/of.sock`` or ``unix:/path/of.sock``.

    Returns:
        The options: ``host`` and perhaps ``port``, or ``unix_socket_path``.

    Raises:
        ValueError: It is none of these. The error says what to write instead.
    """
    if text.startswith(("/", "unix:")):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("the path of a unix socket begins with one '/': unix:/run/server.sock")
        return {"unix_socket_path": path}
    if "@" in text:
        raise ValueError("an address has no user and password: write a URL, or a dict of options")
    if "," in text or re.search(r"\s", text):
        raise ValueError("one text is one host: write a list with a text for each host")
    if _is_ipv6(text):
        return {"host": text}
    address, slash, db = text.partition("/")
    if slash:
        number = db if db.isdecimal() else "1"
        raise ValueError(
            f"there is a '/' behind the host: write a URL, or a dict of options such as {{'host': …, 'db': {number}}}"
        )
    if address.startswith(":"):
        raise ValueError(f"there is a port without a host: write 'localhost{address}'")
    host, port = _host_and_port(address)
    return {"host": host} if port is None else {"host": host, "port": port}


def check_host(host: str, path: str) -> None:
    """Refuse a text for the option ``host`` that is no name and no address. An empty text passes.

    Parameters:
        host: The text.
        path: The place of the option in the settings.

    Raises:
        ConfigError: The text is a URL, the path of a socket, an address with a port, or several hosts. The error says what to
            write instead.
    """
    problem = _problem_of_host(host)
    if problem:
        raise ConfigError(problem, path)


def _problem_of_host(host: str) -> str:
    if not host:
        return ""
    if "://" in host or "@" in host:
        return "found a URL or a user; expected a name or an address: a URL stands for a whole host"
    wrong = re.search("[?#%=&;]", host)
    if wrong is not None and not _is_ipv6(host):  # not shown: behind it there may be a secret
        hint = ": options stand in a URL, or in a dict of options" if wrong[0] == "?" else ""
        return f"found a name with {wrong[0]!r}; expected a name or an address{hint}"
    shown = repr(host[:_LONGEST])
    if host.startswith(("/", "unix:")):
        return f"found the path of a unix socket, {shown}; give it as 'unix_socket_path'"
    if "," in host or re.search(r"\s", host):
        return f"found {shown}; expected one name or address: each host has an entry of its own in 'hosts'"
    bare = re.fullmatch(r"\[(.*)\]", host)
    if bare is not None and _is_ipv6(bare[1]):
        return f"found {shown}; expected an address without brackets: {bare[1]!r}"
    if ":" in host and not _is_ipv6(host):
        name, _, port = host.rpartition(":")
        if name and re.fullmatch("[0-9]{1,5}", port):
            return f"found {shown}; expected a name or an address: give the port as 'port': {int(port)}"
        return f"found {shown}; expected a name or an address"
    if "/" in host or "[" in host or "]" in host:
        return f"found {shown}; expected a name or an address"
    return "" if _is_ipv6(host) else _problem_of_name(host)


def _problem_of_name(host: str) -> str:
    """Return why a text can be no name of a host; the texts show no more of it than the characters that are wrong."""
    wrong = re.search(r"[^\w.-]", host)
    if wrong is not None:
        return f"found a name with {wrong[0]!r}; expected a name or an address"
    if re.fullmatch(r"[\d.]+", host, re.ASCII):
        try:
            socket.inet_aton(host)
        except OSError:
            return f"found {host[:_LONGEST]!r}, which is no IPv4 address; expected a name or an address"
        return ""
    labels = host.removesuffix(".").split(".")
    if any(not label or label[0] == "-" or label[-1] == "-" for label in labels):
        return f"found {host[:_LONGEST]!r}; expected a name, whose parts neither are empty nor begin or end with '-'"
    if len(host) > _LONGEST or any(len(label) > _LONGEST_LABEL for label in labels):
        return f"found a name that is too long; expected at most {_LONGEST} characters, {_LONGEST_LABEL} in a part"
    return ""


#: Characters of the name of a host, and of the parts of it between the dots: RFC 1035.
_LONGEST, _LONGEST_LABEL = 253, 63


def check_socket_path(path: str, place: str) -> None:
    """Refuse a text for the path of a unix socket that no server can listen on.

    Parameters:
        path: The path.
        place: The place of the option in the settings.

    Raises:
        ConfigError: The path is empty, a folder, or too long.
    """
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError:  # half a character
        raise ConfigError("found a path that cannot be written as bytes", place) from None
    if not path or path.endswith("/"):
        raise ConfigError(
            f"found {path[:_LONGEST]!r}; expected the path of a unix socket, which is a file", place
        )
    if "\0" in path[1:] or size > _LONGEST_PATH:
        raise ConfigError(
            f"found a path of {size} bytes, or with a NUL in it; a unix socket has at most {_LONGEST_PATH} bytes",
            place,
        )


#: Bytes that Linux has for the path of a unix socket.
_LONGEST_PATH = 107
