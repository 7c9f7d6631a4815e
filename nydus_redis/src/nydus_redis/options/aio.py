"""The options of a host with asyncio: those of ``redis.asyncio.Redis``, and reasons for those that it does not have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry

from nydus_core.checks import refuse
from nydus_redis.options.blocking import REFUSED, TYPES, client_options

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:  # before redis-py 7
    MaintNotificationsConfig = None  # type: ignore[assignment, misc]

__all__ = ["ASYNC_OPTION_TYPES", "REFUSED_ASYNC", "async_client_options"]

#: Options that this version of redis-py has for blocking clients only.
_BLOCKING_ONLY = {
    name: "redis.asyncio does not have it"
    for name in inspect.signature(redis.Redis).parameters
    if name not in REFUSED and name not in inspect.signature(redis.asyncio.Redis).parameters
}

#: Options that are refused with asyncio alone.
REFUSED_ASYNC = {
    **_BLOCKING_ONLY,
    "connection_pool": "each event loop has a pool of its own: give the options of its connections instead",
    "auto_close_connection_pool": "the cluster closes its connections: await cluster.aclose()",
    "maint_notifications_config": "maintenance messages of Redis Enterprise are left to the blocking side",
}

#: With asyncio. Refused options are among them, so that the error can give the reason.
ASYNC_OPTION_TYPES: Mapping[str, Any] = {
    **TYPES,
    **{name: None for name in inspect.signature(redis.asyncio.Redis).parameters if name not in TYPES},
    **dict.fromkeys((*REFUSED, *REFUSED_ASYNC)),
}


#: Whether this version of redis-py has maintenance messages with asyncio.
_KNOWS_MAINTENANCE = "maint_notifications_config" in inspect.signature(redis.asyncio.Redis).parameters


def async_client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for ``redis.asyncio.Redis``. See ``client_options``.

    Raises:
        ConfigError: An option would break a promise of the cluster, or is for the blocking side alone.
    """
    refuse(options, REFUSED_ASYNC)
    client = client_options(
        {name: value for name, value in options.items() if name not in _BLOCKING_ONLY}, Retry
    )
    if MaintNotificationsConfig is not None and _KNOWS_MAINTENANCE:
        client["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return client
