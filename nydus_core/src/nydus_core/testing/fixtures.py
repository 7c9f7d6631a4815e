"""A plugin of pytest: fault proxies that end with the test. ``pytest_plugins = ["nydus_core.testing.fixtures"]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nydus_core.testing.proxy import Address, FaultProxy, Listening

__all__ = ["proxy"]


@pytest.fixture
def proxy() -> Iterator[Callable[..., FaultProxy]]:
    """``proxy(server, delay=0.05)``: a ``FaultProxy`` in front of a server, closed at the end of the test."""
    proxies: list[FaultProxy] = []

    def start(target: Listening | Address, *, tcp: bool = False, delay: float = 0.0) -> FaultProxy:
        proxies.append(FaultProxy(target, tcp=tcp, delay=delay))
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()
