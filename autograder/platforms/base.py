"""What platforms share: where a hand-in lies, which checks are shown and how, and what a fault is.

Covered: one item a check with cleaned text, the summary, files written whole, no mark where the
grader failed. Not covered: scoring (`grade.py`), and what each platform calls things (one file
each). Flags are left out of all that a student may see: they are for a person who grades.
"""

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from ..faults import Fault
from ..files import atomic_write
from ..report import view
from ..report.text import line, plain
from ..result import Check, Result
from ..submission import MODULES

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
LONGEST = 1200  # characters of an item's text; with forty checks far below what platforms take
MARKS = {True: "passed", False: "failed", None: "not run"}

Grade = Callable[[Path, Path], Result]  # a hand-in and a file for what it prints


@dataclass(frozen=True)
class Item:
    """A check as platforms show it; every text is cleaned.

    `text` is the message with the hint behind it; `max_score` is 0 where it carries no points.
    """

    id: str
    group: str
    title: str
    passed: bool | None
    score: float
    max_score: float
    seconds: float
    text: str

    @property
    def name(self) -> str:
        """`Data loader: targets are one word ahead`."""
        return self.title if self.title == self.group else f"{self.group}: {self.title}"


@dataclass(frozen=True)
class Page:
    """What a platform reads: files, standard output, and the exit status."""

    files: dict[Path, str] = field(default_factory=dict)
    stdout: str = ""
    status: int = 0


class Platform(Protocol):
    """One platform; built from the command's options."""

    def outputs(self) -> tuple[Path, ...]:
        """Return the files that are read after this command: old ones are removed first."""

    def source(self) -> Path:
        """Return where the hand-in lies."""

    def render(self, result: Result) -> Page:
        """Return what is written for a grade."""

    def fault(self, reason: str) -> Page:
        """Return what is written where there is none: never a mark."""


def run(options: argparse.Namespace, prepare: Callable[[], Grade]) -> int:
    """Grade a platform's hand-in and write what the platform reads; return the exit status.

    Args:
        options: of the command `platform`; `name` is that of a file here.
        prepare: gives the function that grades; any exception of it is a fault.
    """
    module = import_module(f".{options.name}", __package__)
    platform: Platform = module.platform(options)
    try:
        for path in platform.outputs():  # of an earlier grading, or of the hand-in's own making
            path.unlink(missing_ok=True)
        source = platform.source()
        with tempfile.TemporaryDirectory() as folder:
            result = prepare()(source, Path(folder) / "output.txt")
        if not result.max_score > 0:
            raise Fault("the rubric gives no points to anything: see autograder/rubric.toml")
        page = platform.render(result)
    except Fault as error:
        page = platform.fault(plain(str(error)).strip())
    except Exception as error:  # noqa: BLE001 - whatever breaks in the grader must not become a mark
        page = platform.fault(broken(error))
    return write(page)


def write(page: Page) -> int:
    """Write files whole or not at all, then standard output; return the exit status."""
    try:
        for path, text in page.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(text.encode())
    except OSError as error:
        print(f"no grade: its file cannot be written: {error}", file=sys.stderr)
        return 3
    sys.stderr.flush()
    encoding = sys.stdout.encoding or "ascii"  # a container's may know no ±
    sys.stdout.write(page.stdout.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
    return page.status


def broken(error: Exception) -> str:
    """Name an unexpected exception by its kind and place; its words may quote what is hidden."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"the grader has a bug: {type(error).__name__}{place}. Please report it."


def no_grade(reason: str) -> str:
    """Say for a person that there is no grade, and why.

    A bar stands before each line of the reason, so that none is JSON or a command of anything.
    """
    lines = ["No grade: the grader's own fault, not the submission's.", *reason.splitlines()]
    return "\n| ".join(lines) + "\n"


def within(folder: Path) -> Path:
    """Return the hand-in within a platform's folder: the folder, or the one archive in it.

    Raises:
        Fault: there is no such folder.
    """
    if not folder.is_dir():
        raise Fault(f"{folder} is not there, where this platform puts the hand-in")
    if any((folder / f"{name}.py").is_file() for name in MODULES):
        return folder
    # A link could lead to what the grader may read and the student may not.
    packed = [
        path
        for path in sorted(folder.iterdir())
        if path.name.endswith(ARCHIVES) and path.is_file() and not path.is_symlink()
    ]
    return packed[0] if len(packed) == 1 else folder


def items(result: Result) -> list[Item]:
    """Return one item a check, in the report's order.

    An optional class that was left alone is left out: it costs nothing, and is no failure.
    """
    titles = {group.name: group.title for group in view.groups_of(result.checks)}
    return [
        _item(check, titles)
        for check in result.checks
        if check.passed is not None or check.max_score > 0 or check.group != view.OPTIONAL
    ]


def _item(check: Check, titles: dict[str, str]) -> Item:
    message, hint = plain(check.message).strip(), plain(check.hint).strip()
    return Item(
        id=line(check.id),
        group=titles.get(line(check.group)) or line(check.group),
        title=line(check.title) or line(check.id),
        passed=check.passed,
        score=round(check.score, 2),
        max_score=round(check.max_score, 2),
        seconds=check.seconds,
        text=plain(f"{message}\n→ {hint}" if hint else message, LONGEST),
    )


def summary(result: Result) -> str:
    """Return the score, the measured figures and what was graded, a line each."""
    seen = view.of(result)
    lines = [seen.total + ("" if seen.official else ": practice, not official")]
    lines += [f"{p.name}: {p.measured}, {p.goal}" for p in seen.problems if p.measured]
    if seen.first:
        group, cluster = seen.first
        lines.append(f"Start with {group.title}: {cluster.rows[0].title}")
    if result.receipt:
        parts = [f"{part} {digest[:16]}" for part, digest in result.receipt.items()]
        lines.append(line(f"Receipt (SHA-256): {', '.join(parts)}"))
    return "\n".join([*lines, seen.notice] if seen.notice else lines)


def unreadable(result: Result) -> list[str]:
    """Return why the hand-in could not be read at all, or nothing."""
    return [item.text for item in items(result) if item.id == "submission.read" and not item.passed]


def json_text(data: Any) -> str:
    """Return JSON on one line, in ASCII: no line end of a text can end it.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(data, allow_nan=False) + "\n"
