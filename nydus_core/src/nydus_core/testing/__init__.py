"""Tools for the tests of programs and plugins: real servers, and a network that can be told to misbehave.

Nothing here is imported by the rest of Nydus. ``FaultProxy`` needs the standard library only;
``nydus_core.testing.fixtures`` is a plugin of pytest, which ``pip install nydus-core[testing]`` brings.
"""

from nydus_core.testing.proxy import FaultProxy

__all__ = ["FaultProxy"]
