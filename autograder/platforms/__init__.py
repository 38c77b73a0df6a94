"""Renders the one `Result` as grading platforms read it: `base.py`, and one thin file a platform.

`entry/` holds the scripts that the platforms themselves start; `autograder/release.py` packs them.
"""
