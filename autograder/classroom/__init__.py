"""A class: who handed in what (`roll.py`), its gradebook (`gradebook.py`) and its page (`page.py`).

Those three grade nothing: they read a folder before, and write files after.
"""

from .roll import Entry, RollError, Row, Student, read

__all__ = ["Entry", "RollError", "Row", "Student", "read"]
