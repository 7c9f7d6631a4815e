"""Clients of a fault proxy without any library: they connect, and let the proxy do what it can do now."""

from __future__ import annotations

import socket

from address import Address, Listening, address_of
from nydus_core.testing import FaultProxy
from waiting import LONG

__all__ = ["connect", "settle"]


def connect(target: Listening | Address, timeout: float = LONG) -> socket.socket:
    """Connect to a server or a proxy."""
    address = address_of(target)
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        client.settimeout(timeout)
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def settle(proxy: FaultProxy) -> None:
    """Let the proxy do what it can do now: each look at it takes a turn of its loop."""
    for _ in range(20):
        assert proxy.open_connections >= 0
