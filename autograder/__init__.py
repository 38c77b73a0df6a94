"""Grades language models: corpus, fixtures, run, score, result, report.

Nothing here imports a submission, the handout or the solution; a submission runs in a process of
its own (`run.py`, `worker.py`) that never sees a target.
"""

__version__ = "0.1.0"
