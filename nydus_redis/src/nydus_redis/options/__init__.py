"""The options of a Redis host: all of ``redis.Redis``, and ``timeout`` and ``identifier`` as in nydus 0.11."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_redis.options.blocking import (
    OPTION_TYPES,
    REFUSED,
    TIMEOUT,
    client_options,
    wire_options,
)
from nydus_redis.options.urls import from_url

if TYPE_CHECKING:
    from nydus_redis.options.aio import ASYNC_OPTION_TYPES, REFUSED_ASYNC, async_client_options
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {"nydus_redis.options.aio": ["ASYNC_OPTION_TYPES", "REFUSED_ASYNC", "async_client_options"]},
    )

__all__ = [
    "ASYNC_OPTION_TYPES",
    "OPTION_TYPES",
    "REFUSED",
    "REFUSED_ASYNC",
    "TIMEOUT",
    "async_client_options",
    "client_options",
    "from_url",
    "wire_options",
]
