"""Engines: the protocols, the class to start from, pools, and surfaces and batches for clients without their own."""

from nydus_core.engines.base import EngineBase, mark_if_answer, name_of, place_of
from nydus_core.engines.batches import SerialBatch
from nydus_core.engines.legacy import BasePipeline
from nydus_core.engines.loan import Loan
from nydus_core.engines.pool import (
    MAX_CONNECTIONS,
    PIPELINE_DEPTH,
    BlockingConnector,
    SharedPool,
    Turn,
    all_in_use,
    counts,
    in_vain,
    of_many,
    retire_all,
    waited_in_vain,
)
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
    "MAX_CONNECTIONS",
    "PIPELINE_DEPTH",
    "AnyEngine",
    "AsyncEngine",
    "BaseEngine",
    "BasePipeline",
    "Batch",
    "BlockingConnector",
    "E",
    "Engine",
    "EngineBase",
    "Loan",
    "PlainSurface",
    "SerialBatch",
    "SharedPool",
    "SurfaceFactory",
    "Turn",
    "all_in_use",
    "counts",
    "current_call",
    "in_vain",
    "mark_if_answer",
    "name_of",
    "named_as_called",
    "of_many",
    "place_of",
    "remember_awaited_call",
    "remember_call",
    "retire_all",
    "waited_in_vain",
]
