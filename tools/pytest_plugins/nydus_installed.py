"""pytest plugin: tests import the *installed* packages, and `--installed` makes sure of it.

It imports the packages before pytest collects anything, for two reasons. With `--import-mode=importlib`
pytest calls nydus_core/tests/test_x.py `nydus_core.tests.test_x` and, if `nydus_core` is not imported yet,
makes an empty namespace package of that name out of the folder nydus_core/, which hides the real one. And so
where a package came from can be printed, and with `--installed` (which `make test` gives) refused unless it
is this environment's own.
"""

import importlib
import sysconfig
from pathlib import Path

import pytest

PACKAGES = ("nydus_core", "nydus", "nydus_redis", "nydus_memcache")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--installed", action="store_true", help="refuse to test packages that are not installed"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--installed"):
        site = Path(sysconfig.get_path("purelib")).resolve()
        for name, place in PLACES.items():
            if not place.is_relative_to(site):
                raise pytest.UsageError(f"{name} is not installed but comes from {place}; run: make test")


def pytest_report_header() -> list[str]:
    return [f"{name}: {place}" for name, place in PLACES.items()]


def place_of(name: str) -> Path:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        return Path("nowhere")
    return Path(module.__path__[0]).resolve()


PLACES = {name: place_of(name) for name in PACKAGES}
