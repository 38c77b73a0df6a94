"""PrairieLearn: `results.json` from what lies in /grade.

A fault, and a hand-in that cannot be read at all, are `gradable: false`, which costs the student no
attempt; so the exit status is 0, for the file to be read. What a fault was goes to standard error
only, because students read the file.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..result import Result
from . import base

HOME = Path("/grade")


class PrairieLearn:
    """Writes /grade/results/results.json."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission
        self._out = options.out or HOME / "results" / "results.json"

    def outputs(self) -> tuple[Path, ...]:
        """The results file."""
        return (self._out,)

    def source(self) -> Path:
        """The folder of uploaded files, or the one archive in it."""
        return base.within(self._source or HOME / "student")

    def render(self, result: Result) -> base.Page:
        """A share of 1 in all, points by check."""
        if errors := base.unreadable(result):
            return self._ungradable("The hand-in cannot be read.", errors)
        found = {
            "gradable": True,
            "score": min(1.0, max(0.0, round(result.score / result.max_score, 6))),
            "message": base.summary(result),
            "tests": [_test(item) for item in base.items(result)],
        }
        return base.Page({self._out: base.json_text(found)})

    def fault(self, reason: str) -> base.Page:
        """No score."""
        print(base.no_grade(reason), file=sys.stderr)
        said = "The grader failed; your work was not graded, and this costs you no attempt."
        return self._ungradable(said, ["Tell your instructor: the grader's log says why."])

    def _ungradable(self, message: str, errors: list[str]) -> base.Page:
        found = {"gradable": False, "message": message, "format_errors": errors}
        return base.Page({self._out: base.json_text(found)})


platform = PrairieLearn


def _test(item: base.Item) -> dict[str, Any]:
    points = {"points": item.score, "max_points": item.max_score} if item.max_score > 0 else {}
    return {
        "name": item.name,
        "description": base.MARKS[item.passed],
        **points,
        "message": item.text,
    }
