"""Tools for the tests of programs and plugins: real servers, and a network that can be told to misbehave.

Nothing here is imported by the rest of Nydus. ``FaultProxy`` needs the standard library only. ``fixtures``, a plugin of
pytest, and ``routers``, a kit of tests for routers, need pytest, which ``pip install nydus-core[testing]`` brings.
"""

import sys

from nydus_core.testing.proxy import FaultProxy

if "pytest" in sys.modules:  # else no test will fail, and nobody needs to be told how
    sys.modules["pytest"].register_assert_rewrite("nydus_core.testing.routers")

__all__ = ["FaultProxy"]
