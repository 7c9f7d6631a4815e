"""Tokens of ``gets``: they mean something only to the host that gave them."""

from __future__ import annotations

from typing import Self

__all__ = ["CasToken"]


class CasToken(bytes):
    """A token for ``cas`` that knows which host gave it. In all other respects it is the bytes that the server sent.

    Parameters:
        digits: The bytes.
        host: The name of the host.
    """

    host: str

    def __new__(cls, digits: bytes, host: str) -> Self:
        token = super().__new__(cls, digits)
        token.host = host
        return token

    def __getnewargs__(self) -> tuple[bytes, str]:  # type: ignore[override]  # that of bytes has no host
        return bytes(self), self.host
