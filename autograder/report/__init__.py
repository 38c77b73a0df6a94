"""Renders one `Result`: `terminal.py` as lines, `html.py` as a page.

Both draw the same `view.py`, whose texts are cleaned by `text.py`; neither measures or scores.
"""
