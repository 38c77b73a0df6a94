"""Renders one `Result`: `terminal.py` as lines, `html.py` as a page.

Both draw the same `view.py`, whose texts are cleaned by `text.py`; neither measures or scores.
"""

from .html import render, write
from .terminal import show, show_checks

__all__ = ["render", "show", "show_checks", "write"]
