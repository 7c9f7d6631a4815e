"""Start reading here: settings in, cluster out."""

from typing import TYPE_CHECKING

from nydus_core.create.blocking import create_cluster
from nydus_core.lazy import lazy

if TYPE_CHECKING:
    from nydus_core.create.aio import create_async_cluster
    from nydus_core.create.building import C
else:
    __getattr__, __dir__ = lazy(
        __name__, {"nydus_core.create.aio": ["create_async_cluster"], "nydus_core.create.building": ["C"]}
    )

__all__ = ["C", "create_async_cluster", "create_cluster"]
