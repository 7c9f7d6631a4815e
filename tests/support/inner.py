"""A pytest inside a test: a process of its own, without the plugins of this suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["inner_pytest"]


def inner_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder, and return what came of it.

    Parameters:
        folder: Where the tests are.
        options: Options for pytest.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # loading them takes longer than the tests
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
