"""The former name of ``plugins.specs``, which ``import nydus_core.hookspecs`` still finds."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("nydus_core.plugins.specs")
