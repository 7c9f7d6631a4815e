"""The rules of a delivery: what a cluster does about hosts that fail. As the settings say it, and as a delivery asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nydus_core.delivery.placement import Placement
from nydus_core.delivery.retry import Retry, RetryPolicy
from nydus_core.health import BreakerSettings, Readmit, Watch

__all__ = ["DeliverySettings", "Rules"]


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What a cluster does about hosts that fail, as the settings say it.

    Attributes:
        retry: What may be tried again.
        health: When a host is taken for down, and when it is probed.
        on_host_down: ``'raise'``, or ``'reroute'`` to another host; None: as the router has it.
        on_readmit: ``'keep'`` the data of a host that is up again, ``'flush'`` them, or a function.
        deadline: Seconds that a call may take, over all attempts and hosts; None for no limit.
    """

    retry: RetryPolicy = field(default_factory=Retry)
    health: BreakerSettings = field(default_factory=BreakerSettings)
    on_host_down: str | None = None
    on_readmit: str | Readmit = "keep"
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a cluster does about hosts that fail.

    Attributes:
        watches: The hosts, in host order, each with whether it is up.
        placement: Where keys live.
        retry: What may be tried again.
        reroute: Whether a command whose host is down goes to another one.
        stale: Whether a host that missed a write, because it went to another one, has to be readmitted.
    """

    watches: Sequence[Watch[Any]]
    placement: Placement
    retry: RetryPolicy
    reroute: bool = False
    stale: bool = False
