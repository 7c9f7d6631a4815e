"""Check the openings of sentences, and count the word "what", in the code and in the documentation.

The rule is in CONTRIBUTING.md, under *Plain words*. No sentence begins with What, Those or That of: not in a docstring,
a comment or a string of the distributions, and not in the documentation, headings included. Code in Markdown, and
names in backquotes, are no sentences.

    python tools/plain_words.py           check everything; exit status 1 if a sentence or a figure is out of bounds
    python tools/plain_words.py --what    also print each line that has the word "what"
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

#: How often "what" may stand in a thousand words of each part.
LIMIT = 2.0

PARTS = {
    "nydus_core": ("nydus_core/src/**/*.py", "nydus_core/README.md"),
    "nydus_redis": ("nydus_redis/src/**/*.py", "nydus_redis/README.md"),
    "nydus_memcache": ("nydus_memcache/src/**/*.py", "nydus_memcache/README.md"),
    "docs": ("*.md", "docs/*.md", "docs/reference/*.md"),
    "examples": ("examples/**/*.py", "examples/**/*.md"),
}

_WORD = re.compile(r"[^\W\d_][\w'-]*")
_WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)
#: Where a sentence begins: with the text, or behind the mark that ends another sentence, a label or a piece of code.
#: A sentence in quotation marks is somebody else's.
_OPENING = re.compile(r"(?:^|[.!?:;…`][)\"'”*_]*\s)[\s(*_\[]*((?:What|Those|That of)\b.*)")
_FENCE = re.compile(r"^[ >]*(?:```|~~~)[^`]*$")
_ITEM = re.compile(r"^\s*(?:#+|[-*+>]|\d+\.)\s+")
_LABEL = re.compile(r"^\s+\*{0,2}\w+: ")


class Text(NamedTuple):
    """A piece of prose: a docstring, a block of comments, a string, or a paragraph, and the line where it starts."""

    line: int
    words: str


# Python ----------------------------------------------------------------------------------------------------------


def in_python(source: str) -> Iterator[Text]:
    """Yield the docstrings, the other strings that have several words, and the comments of a module."""
    yield from _strings(source)
    yield from _comments(source)


def _strings(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    pieces = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from _paragraphs(node.lineno, _joined(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
            yield from _paragraphs(node.lineno, node.value)


def _joined(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "`…`" for part in node.values)


def _comments(source: str) -> Iterator[Text]:
    start, last, lines = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, alone = token.start[0], not token.line[: token.start[1]].strip()
        if not (alone and line == last + 1):
            yield from _paragraphs(start, "\n".join(lines))
            start, lines = line, []
        lines.append(token.string.lstrip("#: "))
        last = line if alone else -1
    yield from _paragraphs(start, "\n".join(lines))


# Markdown --------------------------------------------------------------------------------------------------------


def in_markdown(source: str) -> Iterator[Text]:
    """Yield the headings, paragraphs, items and cells of a page, without blocks of code and comments."""
    lines, fenced = list[str](), False
    for line in re.sub(r"<!--.*?-->", lambda found: "\n" * found[0].count("\n"), source, flags=re.S).split(
        "\n"
    ):
        fence = _FENCE.match(line) is not None
        lines.append("" if fence or fenced else line)
        fenced ^= fence
    yield from _paragraphs(1, "\n".join(lines))


def _paragraphs(first: int, text: str) -> Iterator[Text]:
    """Cut a text where a line is empty, and where a heading, an item, a parameter or a row of a table begins."""
    start, lines = first, list[str]()
    for number, line in enumerate(text.split("\n"), first):
        if not line.strip() or line.lstrip().startswith("|") or _ITEM.match(line) or _LABEL.match(line):
            yield from _cells(start, " ".join(lines))
            lines = []
        if line.strip():
            start = start if lines else number
            lines.append(_ITEM.sub("", line).strip())
    yield from _cells(start, " ".join(lines))


def _cells(line: int, text: str) -> Iterator[Text]:
    """Cut a row of a table into cells; take code, and the addresses of links, out of the words."""
    bare = re.sub(r"`+[^`]*`+", "`…`", re.sub(r"\]\([^)]*\)", "]", text))
    for cell in bare.strip("|").split(" | ") if text.startswith("|") else [bare]:
        if len(_WORD.findall(cell)) > 1:
            yield Text(line, cell.strip())


# The check -------------------------------------------------------------------------------------------------------


def openings(text: Text) -> Iterator[str]:
    """Yield the sentences of a text that begin with one of the words, from there on."""
    words = text.words[:1].upper() + text.words[1:]
    for found in _OPENING.finditer(words):
        yield re.split(r"(?<=[.!?])\s", found[1])[0]


def texts(file: Path) -> Iterable[Text]:
    """Return the prose of a file."""
    read = in_python if file.suffix == ".py" else in_markdown
    return read(file.read_text("utf-8"))


def main(arguments: list[str]) -> int:
    """Check all parts; print what is wrong and how often each part says "what"."""
    faults = 0
    for part, patterns in PARTS.items():
        count = total = 0
        for file in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
            where = file.relative_to(ROOT)
            for text in texts(file):
                total += len(_WORD.findall(text.words))
                here = len(_WHAT.findall(text.words))
                count += here
                if here and "--what" in arguments:
                    print(f"{where}:{text.line}: {text.words}")
                for sentence in openings(text):
                    faults += 1
                    print(f"{where}:{text.line}: a sentence begins so: {sentence}")
        rate = 1000 * count / max(total, 1)
        print(f'{part}: {rate:.1f} "what" in 1000 words ({count} in {total})')
        if rate > LIMIT:
            faults += 1
            print(f'{part}: expected at most {LIMIT} "what" in 1000 words; name the thing instead')
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
