"""What may be told of a run on hidden inputs: nothing that the submission chose.

A submission that is shown hidden inputs could write them into an exception's message, its type,
the shape of what it returns, or what it prints, and a student could read them there. So once hidden
inputs were handed over nothing printed is kept (`run.py`), and where a problem then fails only the
way of failing is told, with the line of the student's own file.
"""

import builtins
import re
from dataclasses import replace
from pathlib import Path

from .checks.verdict import Verdict, advice
from .run import Observation

# Names that a submission cannot choose.
TYPES = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
} | {"OutOfMemoryError", "SafetensorError", "Unusable", "UnpicklingError"}
WHERE = re.compile(r"([\w/.-]{1,200}\.py):(\d{1,6}): ", re.ASCII)
LARGEST = 1 << 20  # bytes of a module that somebody wrote
NOT_SHOWN = "no more is told, because the inputs are hidden: grade on the public fixtures to see it"


def veiled(verdict: Verdict, seen: Observation, root: Path) -> Verdict:
    """Return a failed verdict on hidden inputs without anything that came from the submission.

    Args:
        verdict: of "prediction" or "generation", failed before anything was scored.
        seen: what it was judged by.
        root: the copied submission.
    """
    kind = seen.error.get("type", "")
    kind = kind if kind in TYPES else "an exception"
    hint = "run `make grade` on the public fixtures, which shows all of it"
    if seen.status == "timeout":
        return replace(verdict, seconds=0.0)  # told in the grader's own words
    if seen.status == "error":
        message = kind + place(seen.error.get("where", ""), root)
        if kind not in ("an exception", "NotImplementedError"):
            hint = advice(kind, seen.error.get("message", ""))
    elif seen.ok:
        message = "what came back cannot be graded: its shape, its type or a value is wrong"
    else:
        message = "the process ended in the middle, or broke its channel"
    return replace(verdict, message=f"{message}; {NOT_SHOWN}", hint=hint, seconds=0.0)


def place(where: str, root: Path) -> str:
    """Return ` at file:line: code`, read from the copy; "" unless there is such a line."""
    found = WHERE.match(where)
    if not found:
        return ""
    path, number = (root / found[1]).resolve(), int(found[2])
    if not path.is_relative_to(root.resolve()):
        return ""
    try:
        if path.stat().st_size > LARGEST:
            return ""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    if not 1 <= number <= len(lines):
        return ""
    return f" at {found[1]}:{number}: {lines[number - 1].strip()[:200]}"
