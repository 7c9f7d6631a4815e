"""Rules of a delivery: how a cluster treats hosts that fail, and the options of a single call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nydus_core.deadlines import Deadline
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.retry import Retry, RetryPolicy
from nydus_core.health import BreakerSettings, Readmit, WatchBase

__all__ = ["PLAIN", "CallOptions", "DeliverySettings", "Rules"]


class CallOptions(NamedTuple):
    """Options of one call, which travel with it from the cluster to the driver.

    Attributes:
        deadline: The time by which the call has to end; None for no limit.
        transaction: Whether each host applies all of its commands or none of them.
        host: The index of the host that the user named, if so: no other host will do.
        first_error: The error of an attempt that was made before there was a plan, if there was such an attempt.
    """

    deadline: Deadline | None = None
    transaction: bool = False
    host: int | None = None
    first_error: Exception | None = None


#: A call without a deadline, to be sent for the first time, wherever its keys belong.
PLAIN = CallOptions()


class DeliverySettings(NamedTuple):
    """The settings of a cluster about hosts that fail.

    Attributes:
        retry: Decides which commands are tried again.
        health: When a host is taken for down, and when it is probed.
        on_host_down: ``'raise'``, or ``'reroute'`` to another host; None leaves it to the router.
        on_readmit: ``'keep'`` the data of a host that is up again, ``'flush'`` them, or a function.
        deadline: Seconds that a call may take, over all attempts and hosts; None for no limit.
    """

    retry: RetryPolicy = Retry()
    health: BreakerSettings = BreakerSettings()
    on_host_down: str | None = None
    on_readmit: str | Readmit = "keep"
    deadline: float | None = None


class Rules(NamedTuple):
    """The rules that a delivery goes by.

    Attributes:
        watches: The watches of the hosts, in host order: each knows whether its host is up.
        placement: Where keys live.
        retry: Decides which commands are tried again.
        reroute: Whether a command whose host is down goes to another host.
        stale: Whether a host that missed a write, because it went to another host, has to be readmitted.
    """

    watches: Sequence[WatchBase[Any]]
    placement: Placement
    retry: RetryPolicy
    reroute: bool = False
    stale: bool = False
