"""What `make demo` runs: it ends well, says what it should, and leaves nothing running."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stopping import gone

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

DEMO = Path(__file__).parent.parent / "examples" / "demo.py"


def test_the_demo_shows_its_cluster_and_stops_it() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "error", DEMO], capture_output=True, text=True, check=True
    ).stdout
    pids = [int(pid) for pid in re.findall(r"process (\d+)", shown)]
    assert len(pids) == 3
    assert "ping() = [True, True, True]" in shown
    assert "CrossHostError" in shown
    assert "incr('foo') = [1, 1, 1]" in shown
    assert "the highest answer is 1000" in shown
    assert "their sum is 3000" in shown
    assert len(re.findall(r"█ \d+\.\d%", shown)) == 3
    assert all(gone(pid) for pid in pids)
