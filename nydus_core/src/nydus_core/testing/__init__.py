"""Kits to test what you build on Nydus with pytest: ``pip install nydus-core[testing]``."""

import contextlib

with contextlib.suppress(ImportError):
    import pytest

    pytest.register_assert_rewrite("nydus_core.testing.routers")
