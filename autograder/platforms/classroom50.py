"""Classroom 50: `result.json` in the checkout, for the class's runner on GitHub Actions.

Whose work it is comes from the runner's environment, and the time of submission from its tag, which
is the same at every regrade. Points are whole numbers there: each check's are rounded down. Its
bundles can be read by anyone who knows their address: no hidden fixtures belong in one.
"""

import argparse
import math
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..faults import Fault
from ..report.text import line
from ..result import Result
from . import base

# The result's key, and the variables that say it, the first that is there.
IDENTITY = {
    "classroom": ("CLASSROOM",),
    "assignment": ("ASSIGNMENT",),
    "assignment_type": ("ASSIGNMENT_TYPE",),
    "owner": ("OWNER", "USERNAME"),
    "submission": ("SUBMISSION_TAG",),
    "commit": ("COMMIT_URL",),
    "release": ("RELEASE_URL",),
    "review": ("REVIEW_URL", "COMMIT_URL"),
}
_TAG = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d)Z")


class Classroom50:
    """Writes result.json."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission or Path()
        self._out = options.out or Path("result.json")

    def outputs(self) -> tuple[Path, ...]:
        """The result, which a checkout may hold one of already."""
        return (self._out,)

    def source(self) -> Path:
        """The checkout."""
        identity()  # that it lacks is better known before the grading than after
        if not self._source.is_dir():
            raise Fault(f"there is no {self._source}: the runner's checkout is expected there")
        return self._source

    def render(self, result: Result) -> base.Page:
        """Whole points by check."""
        tests = [
            {
                "test-name": item.name,
                "passed": item.passed is True,
                "score": math.floor(item.score),
                "max-score": math.floor(item.max_score),
                "message": item.text,
            }
            for item in base.items(result)
        ]
        found = {
            "schema": "classroom50/result/v1",
            **identity(),
            "graded_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "score": sum(test["score"] for test in tests),
            "max-score": sum(test["max-score"] for test in tests),
            "tests": tests,
        }
        said = f"Score {found['score']} of {found['max-score']}\n"
        return base.Page({self._out: base.json_text(found)}, said)

    def fault(self, reason: str) -> base.Page:
        """No file: the runner tells an exit status that is not 0 for the infrastructure's."""
        return base.Page(stdout=base.no_grade(reason), status=3)


platform = Classroom50


def identity() -> dict[str, Any]:
    """Return whose submission this is, as the runner says.

    Raises:
        Fault: it does not say.
    """
    found = {
        key: next((os.environ[name] for name in names if os.environ.get(name)), "")
        for key, names in IDENTITY.items()
    }
    if missing := [IDENTITY[key][0] for key, value in found.items() if not value]:
        raise Fault(f"{', '.join(missing)} are not set, as Classroom 50's runner sets them")
    if submitted := _TAG.search(found["submission"]):
        found["datetime"] = f"{submitted[1]}:{submitted[2]}:{submitted[3]}Z"
    if os.environ.get("USERNAME"):
        found["submitted_by"] = {"username": line(os.environ["USERNAME"])}
    return found
