"""The blocking front door: settings in, cluster out. The rooms behind it are imported with the first cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nydus_core.cluster import Cluster

__all__ = ["create_cluster"]


def create_cluster(settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None) -> Cluster:
    """Build a cluster. No host is connected to before the first command.

    Parameters:
        settings: A dict with these keys; it is not changed. Or the path of a TOML file with named clusters.

            - ``engine`` (or ``backend``): talks to a host: a name (``'redis'``), a dotted path or a class.
            - ``hosts``: a dict of hosts by name, or a list. A host is a dict of options, a list of positional
              arguments, or a URL. The option ``weight`` is the host's share of the keys, by default 1.
            - ``router``: places keys: a name (``'consistent'``), a dotted path, a class, or
              ``{'name': …, **options}``. Without a router every command goes to all hosts.
            - ``defaults``: options for every host that does not set them itself.
            - ``cluster``: a subclass of ``Cluster``, or its dotted path.
            - ``fingerprint``: refuse to build a cluster that places keys otherwise; see ``Cluster.guard``.
            - ``deadline``: seconds that each call may take, over all attempts and hosts; by default no limit.
            - ``retry``: when to try again: a dict with ``attempts``, ``backoff``, ``most`` and ``repeat``, see
              ``Retry``; or a ``RetryPolicy``, its class or its dotted path.
            - ``health``: when a host is taken for down: a dict of the fields of ``BreakerSettings``.
            - ``on_host_down``: ``'raise'``, or ``'reroute'`` to another host; by default the router decides.
            - ``on_readmit``: a step before commands go to a host again: ``'keep'`` the data, ``'flush'`` the
              data, or a function that is called with the name of the host and a client of it.
        name: The name of the cluster in the TOML file.

    Returns:
        The cluster.

    Raises:
        ConfigError: Something in the settings is unknown, missing or wrong. The error says where.
    """
    from nydus_core.cluster import Cluster
    from nydus_core.create.building import build

    return build(settings, name, Cluster, asynchronous=False)
