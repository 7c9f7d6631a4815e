"""Methods of redis-py that a cluster refuses before anything is sent, each with a message that names another way.

Such a method needs a connection of its own, which a cluster does not have. Without the refusal, the user would see an error
about connections.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from nydus_redis.errors import RoutingError

__all__ = ["NO_WATCHING", "NoGroupPipelines", "OfSharedConnections", "OnOneHost", "OverManyHosts", "Queued"]


def _refusal(why: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise RoutingError(why)

    return refuse


_NO_STATE = (
    "HIMPORT needs the fields of its connection, and connections are shared: use cluster.on(host).client()"
)
_RETRIES = "the cluster alone decides what may be sent again: redis-py's retries stay off"
#: Why a cluster of several hosts watches no keys.
NO_WATCHING = (
    "keys are watched on a connection of one host: use cluster.on_key(key).pipeline(), or "
    "cluster.on_key(key).transaction(function, key)"
)
_SETTINGS = "hosts of a cluster are named in its settings: use create_cluster"


class OnOneHost:
    """Refuses commands that need a connection of their own: the connections of a host are shared."""

    himport_prepare = himport_set = himport_discard = himport_discard_all = _refusal(_NO_STATE)
    set_retry = staticmethod(_refusal(_RETRIES))


class OfSharedConnections(OnOneHost):
    """Refuses to watch keys outside a pipeline, which redis-py only warns about, and does not do."""

    watch = unwatch = _refusal(
        "this client shares its connections, so it watches no keys: use its pipeline(), or transaction(function, key)"
    )


class NoGroupPipelines:
    """Refuses ``json().pipeline()`` and its like, which redis-py sends to any host without asking where keys live."""

    #: Whether such pipelines are allowed.
    nydus_groups_have_pipelines = False

    def json(self, *args: Any, **kwargs: Any) -> Any:
        """Return the commands of JSON. See redis-py."""
        return self._group(self._redis_py().json(*args, **kwargs))

    def ft(self, *args: Any, **kwargs: Any) -> Any:
        """Return the commands of search. See redis-py."""
        return self._group(self._redis_py().ft(*args, **kwargs))

    def ts(self) -> Any:
        """Return the commands of time series. See redis-py."""
        return self._group(self._redis_py().ts())

    def _redis_py(self) -> Any:
        return super()

    def _group(self, group: Any) -> Any:
        group.pipeline = partial(self.nydus_pipeline_of, group.pipeline)
        if not self.nydus_groups_have_pipelines:
            group.pipeline = _refusal(
                "this pipeline does not look where keys live: use cluster.on(host) for it, or execute_command() of "
                "cluster.pipeline()"
            )
        return group

    def nydus_pipeline_of(self, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return a pipeline of a group, as a pipeline of one host.

        Parameters:
            make: The group's own method.
            args: Its arguments.
            kwargs: The same, by name.
        """
        raise NotImplementedError


class OverManyHosts(NoGroupPipelines, OnOneHost):
    """Refuses methods that belong to one host or one connection."""

    transaction = _refusal(
        "a transaction that watches keys belongs to one host: use cluster.on_key(key).transaction(), or "
        "cluster.map(transaction=True) for one that watches none"
    )
    watch = unwatch = _refusal(NO_WATCHING)
    monitor = _refusal("MONITOR belongs to one host: use cluster.on(host).monitor()")
    client = _refusal("a single connection belongs to one host: use cluster.on(host).client()")
    parse_response = _refusal(
        "an answer is read from a connection of one host: use cluster.on(host).client()"
    )
    get_retry = staticmethod(_refusal(_RETRIES))
    from_url = from_pool = staticmethod(_refusal(_SETTINGS))


def _several(name: str) -> Any:
    return _refusal(f"{name}() needs answers, and here commands are only queued: use cluster.{name}()")


class Queued(OverManyHosts):
    """Refuses methods that cannot be queued, since they need the answer to one command for the next."""

    pipeline = _several("pipeline")
    pubsub = _several("pubsub")
    keyspace_notifications = _several("keyspace_notifications")
    lock = _several("lock")
    scan_iter = _several("scan_iter")
    sscan_iter = _several("sscan_iter")
    hscan_iter = _several("hscan_iter")
    zscan_iter = _several("zscan_iter")
