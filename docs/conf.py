"""Sphinx settings. `make docs` builds with warnings as errors and without the network (so no intersphinx)."""

from importlib.metadata import version as version_of
from typing import Any

project = "Nydus"
author = "the Nydus authors"
copyright = "the Nydus authors"
version = release = version_of("nydus-core")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Nydus {release}"

# "Parameters:", "Returns:" and "Raises:" of docstrings are napoleon's own. "Attributes:" is a list in its class, not
# an entry for each, which autodoc would find a second time.
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autoclass_content = "both"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3


def setup(app: Any) -> None:
    """Have napoleon leave attributes alone: it takes what stands before a colon for their type."""
    app.connect("autodoc-process-docstring", start_with_comment, priority=400)


def start_with_comment(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put an empty comment before the docstring of an attribute: only the first line is searched for a type."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]
