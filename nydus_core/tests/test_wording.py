"""The text of an error from below, whatever its own methods do."""

from __future__ import annotations

from typing import Any

import pytest

from nydus_core import ConfigError, PluginError, create_cluster
from nydus_core.plugins import import_dotted
from nydus_core.wording import text_of


class Untold(ValueError):
    """An error that cannot tell its own text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def fail(*_args: object, **_options: object) -> Any:
    raise Untold


class Failing:
    __init__ = fail


def test_an_error_is_told_with_or_without_its_type() -> None:
    assert text_of(KeyError("a")) == "'a'"
    assert text_of(KeyError("a"), with_type=True) == "KeyError: 'a'"


@pytest.mark.parametrize("with_type", [False, True])
def test_an_error_without_a_text_is_told_by_its_type(with_type: bool) -> None:
    assert text_of(Untold(), with_type) == "Untold"


def test_a_policy_that_cannot_be_made_is_an_error_of_the_settings() -> None:
    with pytest.raises(ConfigError) as caught:
        create_cluster({"engine": "nydus_core.engines.BaseEngine", "hosts": [{}], "retry": Failing})
    assert str(caught.value) == "retry: Failing cannot be made without arguments: Untold"


def test_a_module_that_cannot_be_imported_is_an_error_of_the_settings(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untold_module.py").write_text(
        "class Untold(Exception):\n    def __str__(self):\n        raise RuntimeError\n\n\nraise Untold\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError) as caught:
        import_dotted("untold_module.Engine", "engine")
    assert str(caught.value) == "engine: importing 'untold_module.Engine' failed: Untold: Untold"
