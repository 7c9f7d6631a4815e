"""The documented names of Nydus. The code lives in ``nydus_core`` and in the distributions of the backends."""
