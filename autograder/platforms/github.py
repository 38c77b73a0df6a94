"""GitHub Actions: the result as Markdown, for the page of a run.

Whatever came from a submission stands in code, inline or fenced, where Markdown reads neither HTML
nor links nor mentions. Nothing of it goes to standard output, where Actions would read commands.
"""

import argparse
import os
import re
from pathlib import Path

from ..faults import Fault
from ..report.figures import points
from ..report.text import line
from ..result import Result
from . import base

SIGNS = {True: "✓", False: "✗", None: "–"}


class GitHub:
    """Writes the file that $GITHUB_STEP_SUMMARY names."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission or Path("handout")
        named = os.environ.get("GITHUB_STEP_SUMMARY")
        self._out = options.out or Path(named or "summary.md")

    def outputs(self) -> tuple[Path, ...]:
        """The summary of this step."""
        return (self._out,)

    def source(self) -> Path:
        """The folder of the checkout that holds the four modules."""
        if not self._source.exists():
            raise Fault(f"there is no {self._source}: name the folder of the checkout to grade")
        return self._source

    def render(self, result: Result) -> base.Page:
        """The score, what is to be mended, and a list of the rest."""
        score = f"Score {points(result.score, result.max_score)}"
        parts = [f"## {score}", fenced(base.summary(result))]
        for item in base.items(result):
            worth = f" · {points(item.score, item.max_score)}" if item.max_score > 0 else ""
            parts.append(f"{SIGNS[item.passed]} {code(item.name)}{worth}")
            if item.passed is not True and item.text:
                parts.append(fenced(item.text))
        return base.Page({self._out: "\n\n".join(parts) + "\n"}, f"{score}\n")

    def fault(self, reason: str) -> base.Page:
        """No score; the run fails, and the summary says why."""
        text = f"## No grade\n\n{fenced(base.no_grade(reason).strip())}\n"
        said = "No grade: the grader's own fault. The summary of this run says why.\n"
        return base.Page({self._out: text}, said, status=3)


platform = GitHub


def code(text: str) -> str:
    """Return one line of inline code, in which nothing is read as Markdown."""
    return f"`{line(text).replace('`', chr(39)) or ' '}`"


def fenced(text: str) -> str:
    """Return a block of code, behind a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
