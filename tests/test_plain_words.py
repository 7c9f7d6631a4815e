"""The check of words: which openings of sentences it finds, in code and in pages, and which words it leaves alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it


@pytest.fixture(scope="module")
def words() -> Any:
    spec = importlib.util.spec_from_file_location("plain_words", ROOT / "tools/plain_words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CODE = '''\
"""Reads keys. What is
read stays.

Parameters:
    key: A key.
    limit: What is allowed.
"""

LIMIT = 5  # what nobody reaches

# A comment goes on
# over lines. Those of it count.

def refuse(name):
    raise ValueError(f"{name}: what is this? That of {name} is wrong")
'''

PAGE = """\
# What a heading asks

Words. *What* is in italics, and what is not.

- That of an item
- Those, too, in [a link](What.md) and `What`
1. Fine: that of a host.

| key | what |
|---|---|
| a | What it holds |
| b | "What a quotation says" |

```` ```python ```` begins no block here. What follows counts.

```python
# What code says is not read
```

<!-- What a comment says is not read -->
"""


def found(words: Any, texts: Any) -> list[tuple[int, str]]:
    return [(text.line, sentence) for text in texts for sentence in words.openings(text)]


def test_sentences_of_code_are_found_in_docstrings_comments_and_strings(words: Any) -> None:
    assert sorted(found(words, words.in_python(CODE))) == [
        (1, "What is read stays."),
        (6, "What is allowed."),
        (9, "What nobody reaches"),
        (11, "Those of it count."),
        (15, "That of `…` is wrong"),
    ]


def test_sentences_of_pages_are_found_in_headings_paragraphs_items_and_cells(words: Any) -> None:
    assert found(words, words.in_markdown(PAGE)) == [
        (1, "What a heading asks"),
        (3, "What* is in italics, and what is not."),
        (5, "That of an item"),
        (6, "Those, too, in [a link] and `…`"),
        (11, "What it holds"),
        (14, "What follows counts."),
    ]


@pytest.mark.parametrize(
    "text",
    ["It says what it found.", "Whatever comes, it waits.", "See those of `x`.", "WHAT_IS_A_NAME holds"],
)
def test_other_words_may_stand_anywhere(words: Any, text: str) -> None:
    assert found(words, words.in_markdown(text)) == []


def test_a_fault_is_printed_with_its_place_and_ends_the_check(
    words: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(words, "ROOT", tmp_path)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("Keys live on hosts.\n\nWhat a key is:\n")
    assert words.main([]) == 1
    said = capsys.readouterr().out
    assert "docs/page.md:3: a sentence begins so: What a key is:" in said
    assert 'docs: 125.0 "what" in 1000 words (1 in 8)' in said
    assert "docs: expected at most" in said
    page.write_text("Keys live on hosts.\n")
    assert words.main([]) == 0
