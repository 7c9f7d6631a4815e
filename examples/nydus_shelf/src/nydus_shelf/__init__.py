"""An example of a Nydus plugin: what to look at is ``engine.py``, ``router.py``, ``tally.py`` and pyproject.toml."""
