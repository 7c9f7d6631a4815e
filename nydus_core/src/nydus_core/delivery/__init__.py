"""Delivery: commands are placed, planned, sent to their hosts, tried again, and their outcomes put together."""

from nydus_core.delivery.calls import Call
from nydus_core.delivery.drivers import run
from nydus_core.delivery.flows import Flow, Step
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.retry import Repeat, Retry, RetryPolicy
from nydus_core.delivery.rules import CallOptions, DeliverySettings
from nydus_core.delivery.snapshot import KeyDispatch, Snapshot, chooses_hosts
from nydus_core.delivery.steps import Interrupted, Pause, in_turns

__all__ = [
    "Call",
    "CallOptions",
    "DeliverySettings",
    "Flow",
    "Interrupted",
    "KeyDispatch",
    "Lane",
    "Pause",
    "Placement",
    "Plan",
    "Repeat",
    "Retry",
    "RetryPolicy",
    "Snapshot",
    "Step",
    "chooses_hosts",
    "in_turns",
    "run",
]
