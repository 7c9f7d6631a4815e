"""An example of a Nydus plugin. Read ``engine.py``, ``router.py``, ``tally.py`` and pyproject.toml."""
