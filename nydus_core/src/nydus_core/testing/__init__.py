"""Tools for tests of programs and plugins: a proxy that makes a network misbehave, and a kit of tests for routers.

No other room of Nydus imports this one. ``FaultProxy`` needs the standard library only. The modules
``fixtures``, a plugin of pytest, and ``routers``, the kit, need pytest, which
``pip install nydus-core[testing]`` brings.
"""

import sys

from nydus_core.testing.proxy import Address, FaultProxy, Listening

if "pytest" in sys.modules:  # so that a failed assertion of the kit shows its values
    sys.modules["pytest"].register_assert_rewrite("nydus_core.testing.routers")

__all__ = ["Address", "FaultProxy", "Listening"]
