"""Routers, under their names in nydus 0.11. See ``nydus_core.routers``."""

from nydus_core.routers import BaseRouter, RoundRobinRouter, routing_params

__all__ = ["BaseRouter", "RoundRobinRouter", "routing_params"]
