"""Gradescope: `results.json` from what lies in /autograder.

A fault leaves no results.json, by which Gradescope knows that the autograder failed; what went
wrong is printed for the instructor. Late work, attempts and earlier scores are Gradescope's own
business: nothing here reads a clock or adds up submissions.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ..report import view
from ..report.text import line
from ..result import Result
from . import base

HOME = Path("/autograder")
MAX_METADATA = 1 << 20
LEADERBOARD = (("Prediction NLL", "prediction_nll"), ("Generation NLL", "generation_nll"))


class Gradescope:
    """Writes /autograder/results/results.json."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission
        self._out = options.out or HOME / "results" / "results.json"
        self._visibility = options.visibility or "visible"

    def outputs(self) -> tuple[Path, ...]:
        """The results file."""
        return (self._out,)

    def source(self) -> Path:
        """The folder of uploaded files, or the one archive in it."""
        return base.within(self._source or HOME / "submission")

    def render(self, result: Result) -> base.Page:
        """One test a check; totals and the leaderboard beside them."""
        found = {
            "score": result.score,
            "execution_time": round(result.timing.get("total", 0.0)),
            "output": base.summary(result),
            "output_format": "text",
            "test_output_format": "text",
            "test_name_format": "text",
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "tests": [
                self._test(number, item) for number, item in enumerate(base.items(result), 1)
            ],
            "leaderboard": [
                {"name": name, "value": result.metrics[metric], "order": "asc"}
                for name, metric in LEADERBOARD
                if metric in result.metrics
            ],
            "extra_data": {
                "official": result.official,
                "submission_digest": result.submission_digest,
                "receipt": result.receipt,
                "fixtures": result.fixtures,
                "rubric": result.rubric,
                "flags": [line(flag.message) for flag in result.flags],
                **metadata(HOME / "submission_metadata.json"),
            },
        }
        told = [base.summary(result), view.of(result).sandbox]
        told += [f"flag: {line(flag.message)}" for flag in result.flags]
        return base.Page({self._out: base.json_text(found)}, "\n".join(told) + "\n")

    def _test(self, number: int, item: base.Item) -> dict[str, Any]:
        points = {"score": item.score, "max_score": item.max_score} if item.max_score > 0 else {}
        ran = "" if item.passed is not None else "not run\n"
        return {
            **points,
            "status": "passed" if item.passed else "failed",
            "name": item.name,
            "name_format": "text",
            "number": str(number),
            "output": item.text if item.text.startswith("not run") else ran + item.text,
            "output_format": "text",
            "visibility": self._visibility,
        }

    def fault(self, reason: str) -> base.Page:
        """No file; words for the instructor."""
        return base.Page(stdout=base.no_grade(reason), status=3)


platform = Gradescope


def metadata(path: Path) -> dict[str, Any]:
    """Read whose hand-in it is and when it came, as far as the file says so in the known form."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(MAX_METADATA))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    created, users = said.get("created_at"), said.get("users")
    names = [
        line(user["name"], 100)
        for user in (users if isinstance(users, list) else [])[:50]
        if isinstance(user, dict) and isinstance(user.get("name"), str)
    ]
    found = {"created_at": line(created, 40)} if isinstance(created, str) else {}
    return {**found, "users": names} if names else found
