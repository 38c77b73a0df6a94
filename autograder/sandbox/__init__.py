"""Where a submission's process is started: one function, `launch`, and one file a way of doing it.

Today there is one way, `plain`: an ordinary process with a literal environment, limits and a
time-out. It keeps a submission's accidents away from the grader; it is no defence against a
hostile one, so its results are for practice.
"""

from .plain import TIER, launch

__all__ = ["TIER", "launch"]
