"""Settings: readers and checks of everything that a user writes."""

from nydus_core.settings.blueprint import Blueprint
from nydus_core.settings.cluster import ClusterSettings, read_settings, read_toml
from nydus_core.settings.hosts import HostSettings

__all__ = [
    "Blueprint",
    "ClusterSettings",
    "HostSettings",
    "read_settings",
    "read_toml",
]
