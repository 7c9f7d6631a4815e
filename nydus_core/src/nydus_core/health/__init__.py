"""The health of hosts: a circuit breaker for each, the watch that probes it, and the announcer that tells the plugins."""

from nydus_core.health.announcer import Announcer, AnnouncerBase, Readmit
from nydus_core.health.breaker import ENOUGH, BreakerSettings, HostHealth, State
from nydus_core.health.monitor import LONGEST, Cancelable, Watch, WatchBase

__all__ = [
    "ENOUGH",
    "LONGEST",
    "Announcer",
    "AnnouncerBase",
    "BreakerSettings",
    "Cancelable",
    "HostHealth",
    "Readmit",
    "State",
    "Watch",
    "WatchBase",
]
