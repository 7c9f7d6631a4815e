"""A launcher of programs that use embedded servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts programs, which find the engine imported."""
    with Launcher("nydus_redis.embedded") as found:
        yield found
