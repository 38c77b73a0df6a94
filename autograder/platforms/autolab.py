"""Autolab: the scores as the last line of standard output, feedback in the line before it.

Whatever prints last sets the grade there, so nothing of a submission reaches this process's output:
what it prints goes to a file, and `grade` has ended all its processes when it returns. A fault
prints no JSON, so that there is nothing to take for scores.
"""

import argparse
from pathlib import Path
from typing import Any

from ..faults import Fault
from ..result import Result
from . import base

MOST_OUTPUT = 900_000  # bytes; Tango takes 1,000 KB
PROBLEMS = {"prediction": "Prediction", "generation": "Generation"}


class Autolab:
    """Prints feedback and scores."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission or Path("handin.tar")

    def outputs(self) -> tuple[Path, ...]:
        """Nothing but standard output."""
        return ()

    def source(self) -> Path:
        """The file that was handed in, beside the Makefile."""
        if not self._source.exists():
            raise Fault(
                f"there is no {self._source}: HANDIN in autograde-Makefile has to be the base name "
                "that the assessment gives to hand-ins"
            )
        return self._source

    def render(self, result: Result) -> base.Page:
        """Feedback, if there is room for it, then scores."""
        last = base.json_text(scores(result))
        before = base.json_text(feedback(result))
        room = len(before) + len(last) <= MOST_OUTPUT
        return base.Page(stdout=before + last if room else last)

    def fault(self, reason: str) -> base.Page:
        """Words only, no line of which is JSON."""
        return base.Page(stdout=base.no_grade(reason), status=3)


platform = Autolab


def scores(result: Result) -> dict[str, Any]:
    """Points by problem; "Checks" is one where the rubric gives checks points."""
    totals = dict.fromkeys((*PROBLEMS.values(), "Checks"), 0.0)
    most = dict(totals)
    for check in result.checks:
        problem = PROBLEMS.get(check.id, "Checks")
        totals[problem] += check.score
        most[problem] += check.max_score
    if most["Checks"] == 0:
        del totals["Checks"]
    found: dict[str, Any] = {"scores": {name: round(score, 2) for name, score in totals.items()}}
    board = [result.metrics.get(f"{problem}_nll") for problem in PROBLEMS]
    return found if None in board else {**found, "scoreboard": board}


def feedback(result: Result) -> dict[str, Any]:
    """Checks by group, in the form that Autolab draws."""
    stages: dict[str, dict[str, Any]] = {}
    for item in base.items(result):
        of_group = stages.setdefault(item.group, {})
        title = item.title if item.title not in of_group else f"{item.title} ({item.id})"
        of_group[title] = {"passed": item.passed is True}
        if item.passed is not True:
            of_group[title]["hint"] = item.text or base.MARKS[item.passed]
    return {"_presentation": "semantic", "stages": list(stages), **stages}
