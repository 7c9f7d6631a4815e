"""Addresses as users write them: read in one way only, or refused with the way to write them."""

from __future__ import annotations

from typing import Any

import pytest

from nydus_core.addresses import UnreadableUrl, check_host, read_address, read_url
from nydus_core.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://h", (None, None, "h", None, "", ())),
        ("REDIS://h:1/2", (None, None, "h", 1, "/2", ())),
        ("redis://:pw@h", (None, "pw", "h", None, "", ())),
        ("redis://u@h", ("u", None, "h", None, "", ())),
        ("redis://u:@h", ("u", "", "h", None, "", ())),
        ("redis://u:a:b@h", ("u", "a:b", "h", None, "", ())),
        ("redis://u:a@b@h", ("u", "a@b", "h", None, "", ())),
        ("redis://u%40:%2F%23%3F%25@h", ("u@", "/#?%", "h", None, "", ())),
        ("redis://[::1]", (None, None, "::1", None, "", ())),
        ("redis://[::1]:6380/0", (None, None, "::1", 6380, "/0", ())),
        ("unix:///run/a%20b.sock?db=1&x=", (None, None, "", None, "/run/a b.sock", (("db", "1"), ("x", "")))),
        ("unix://u:p@/run/x.sock", ("u", "p", "", None, "/run/x.sock", ())),
    ],
)
def test_a_url_is_read(url: str, parts: tuple[Any, ...]) -> None:
    read = read_url(url)
    assert (read.username, read.password, read.host, read.port, read.path, read.query) == parts
    assert "pw" not in repr(read)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "redis://:123#pw@prod:6379/0",
            "it has a '#', behind which everything would be left out; .*percent-encode it",
        ),
        ("redis://h/0#x", "percent-encode it"),
        ("redis://user:7?x@prod", "it has a '@' behind the host; .*percent-encode it"),
        ("redis://user:7/x@prod", "it has a '@' behind the host; .*percent-encode it"),
        ("redis://h?password=ab&cd", "an option has no '='; .*percent-encode it"),
        ("redis://h?password=a@b", "it has a '@' behind the host; .*percent-encode it"),
        ("redis://u:a b@h", "it has a space or a control character; .*percent-encode it"),
        ("redis://u:a\nb@h", "it has a space or a control character; .*percent-encode it"),
        (
            "redis://user:pw",
            "a port that is no number from 1 to 65535; if it is the end of a password, percent-encode it",
        ),
        ("redis://h:", "no number behind the colon"),
        ("redis://u:p@h:0", "a port that is no number from 1 to 65535"),
        ("redis://h:65536", "a port that is no number from 1 to 65535"),
        ("redis://h:٣", "a port that is no number from 1 to 65535"),
        ("redis://:6379", "a port without a host"),
        ("redis://::1", "an IPv6 address needs brackets"),
        ("redis://[::g]:1", "no IPv6 address in the brackets"),
        ("redis://a,b", "neither a name nor an address"),
        ("://h", "it has no scheme"),
        ("h:1", "it has no scheme"),
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused_with_the_remedy(url: str, why: str) -> None:
    with pytest.raises(UnreadableUrl, match=why):
        read_url(url)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("localhost", {"host": "localhost"}),
        ("localhost:6380", {"host": "localhost", "port": 6380}),
        ("::1", {"host": "::1"}),
        ("fe80::1%eth0", {"host": "fe80::1%eth0"}),
        ("[::1]", {"host": "::1"}),
        ("[::1]:6380", {"host": "::1", "port": 6380}),
        ("/run/m.sock", {"unix_socket_path": "/run/m.sock"}),
        ("unix:/run/m.sock", {"unix_socket_path": "/run/m.sock"}),
    ],
)
def test_an_address_is_read(text: str, options: dict[str, Any]) -> None:
    assert read_address(text) == options


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost:6379/1", "a '/' behind the host: write a URL, or a dict of options"),
        ("a,b", "one text is one host: write a list with a text for each host"),
        ("a b", "one text is one host"),
        ("localhost:", "no number behind the colon"),
        ("localhost:abc", "a port that is no number from 1 to 65535"),
        ("localhost:0", "a port that is no number from 1 to 65535"),
        (":6379", "a port without a host: write 'localhost:6379'"),
        ("unix:run/m.sock", "begins with one '/': unix:/run/server.sock"),
        ("bob:pw@h", "an address has no user and password: write a URL"),
        ("[::g]:1", "no IPv6 address in the brackets"),
        ("a:b:c", "a port that is no number"),
    ],
)
def test_any_other_text_is_no_address_and_the_error_says_what_is(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_address(text)


@pytest.mark.parametrize("host", ["", "localhost", "::1", "127.0.0.1", "fe80::1%eth0", "under_score", "a.b."])
def test_a_host_may_be(host: str) -> None:
    check_host(host, "hosts[0].host")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("[::1]", r"found '\[::1\]'; expected an address without brackets: '::1'"),
        ("localhost:6380", "found 'localhost:6380'; .*give the port as 'port': 6380"),
        ("[::1]:6380", r"found .*give the port as 'port': 6380"),
        ("/run/m.sock", "found the path of a unix socket, '/run/m.sock'; give it as 'unix_socket_path'"),
        ("unix:/run/m.sock", "found .*; give it as 'unix_socket_path'"),
        ("a,b", "found 'a,b'; expected one name or address: each host has an entry of its own"),
        ("a/1", "found 'a/1'; expected a name or an address"),
        ("a:", "found 'a:'; expected a name or an address"),
        ("redis://u:pw@h", "found a URL or a user; expected a name or an address"),
        ("u:pw@h", "found a URL or a user; expected a name or an address"),
    ],
)
def test_any_other_host_is_refused_with_its_place(host: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"^hosts\[0\]\.host: {why}") as caught:
        check_host(host, "hosts[0].host")
    assert "pw" not in str(caught.value)
