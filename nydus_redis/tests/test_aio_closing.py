"""How a cluster for asyncio is not closed."""

from __future__ import annotations

import pytest

from nydus_core import RoutingError, create_async_cluster


def test_closing_without_awaiting_is_refused_with_the_way_to_do_it() -> None:
    cluster = create_async_cluster({"engine": "redis", "router": "partition", "hosts": [{}, {}]})
    with pytest.raises(RoutingError, match=r"await cluster\.aclose\(\)"):
        cluster.close()
