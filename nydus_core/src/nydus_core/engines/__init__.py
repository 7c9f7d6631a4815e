"""Engines: the protocols, the class to start from, and surfaces and batches for clients without their own."""

from nydus_core.engines.base import EngineBase, mark_if_answer, name_of, place_of
from nydus_core.engines.batches import SerialBatch
from nydus_core.engines.legacy import BasePipeline
from nydus_core.engines.protocol import AnyEngine, AsyncEngine, Batch, E, Engine, SurfaceFactory
from nydus_core.engines.starting import BaseEngine
from nydus_core.engines.surface import (
    PlainSurface,
    current_call,
    named_as_called,
    remember_awaited_call,
    remember_call,
)

__all__ = [
    "AnyEngine",
    "AsyncEngine",
    "BaseEngine",
    "BasePipeline",
    "Batch",
    "E",
    "Engine",
    "EngineBase",
    "PlainSurface",
    "SerialBatch",
    "SurfaceFactory",
    "current_call",
    "mark_if_answer",
    "name_of",
    "named_as_called",
    "place_of",
    "remember_awaited_call",
    "remember_call",
]
