"""`grade-class`: what the command prints, and where it has the grading done.

Covered: progress, the summary, the exit status. Not covered: what is graded and written
(`drive.py`), workers (`cluster.py`).
"""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..exam import Exam
from ..faults import Fault
from . import roll
from .drive import Drive, Rows, fits
from .entry import Entry
from .shard import Answer, Marker, Terms, versions

EVERY = 10.0  # seconds between lines where there is no terminal
SHOWN = 20  # rows of a list on the terminal; the page has all


def run(options: argparse.Namespace, exam: Exam, given: dict[str, bytes]) -> int:
    """Grade a class; `given` are the files that a hand-in may leave out.

    Returns:
        0 if every hand-in that was asked for has a grade, or there is none to grade; else 3.

    Raises:
        Fault: nothing can be graded, or the ledger not be used.
    """
    console = Console(highlight=False, soft_wrap=True)
    entries = roll.read(options.submissions)
    out = options.out or Path("runs/class") / options.submissions.resolve().name
    try:
        # Grades are nobody else's business; who wants to share them may open the folder.
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"{out} cannot be made ({error}): name another with --out") from error
    official = options.fixtures is not None and not options.practice
    terms = Terms(exam, options.sandbox, official, given, versions(exam.referee, given))
    drive = Drive(entries, terms, out, lambda text: console.print(text, style="yellow"))
    try:
        with Meter(console, "reading", len(entries)) as meter:
            drive.read(meter.step)
        only = [part for part in (options.only or "").split(",") if part]
        keys = drive.wanted(options.regrade, only)
        console.print(f"{opening(entries)}; {len(keys)} to grade")
        try:
            grade(drive, keys, terms, options, console)
        finally:  # what has been graded is there whatever ends this
            files = drive.finish(options.title, not options.no_names)
        summarise(drive.rows(), console)
        tell_changes(drive, options.diff, console)
        console.print("\n".join(["", *map(str, files), f"{out}/<hand-in>/report.html"]))
        asked = [row for row in drive.rows().open if not only or fits(row.entry, only)]
        return 3 if asked else 0
    finally:
        drive.close()


def grade(
    drive: Drive, keys: list[str], terms: Terms, options: argparse.Namespace, console: Console
) -> None:
    """Have the hand-ins graded, and show how it goes."""
    if not keys:
        return
    with Meter(console, "grading", len(keys)) as meter:

        def on_answer(answer: Answer) -> None:
            meter.step(answer.fault and f"{answer.key[:12]}: {answer.fault}")

        if options.workers == 0:
            drive.run(keys, lambda tasks, _: map(Marker(terms), tasks), on_answer)
            return
        from . import cluster

        workers = min(options.workers or cluster.cores(), len(keys))
        with cluster.Cluster(terms, workers, options.scheduler, drive.say) as engine:
            drive.run(keys, engine.grade, on_answer, far=options.scheduler is not None)


def opening(entries: Iterable[Entry]) -> str:
    """`30 hand-ins of 31 students, 1 with nothing to grade`."""
    entries = list(entries)
    people = sum(len(entry.students) for entry in entries)
    idle = sum(entry.path is None for entry in entries)
    text = f"{len(entries)} hand-ins"
    if people != len(entries):
        text += f" of {people} students"
    return text + (f", {idle} with nothing to grade" if idle else "")


def summarise(rows: Rows, console: Console) -> None:
    """Print how many were graded, and who was not and why."""
    scores, missing, flagged, official = [], [], [], True
    for row in rows:
        if row.result is None:
            missing.append((row.entry.key, row.reason))
            continue
        scores.append(row.result.score)
        official &= row.result.official
        if row.result.flags:
            flagged.append((row.entry.key, ", ".join(flag.id for flag in row.result.flags)))
    if scores:
        scores.sort()
        console.print(
            f"{len(scores)} graded{'' if official else ', for practice'}; score {scores[0]:g} to "
            f"{scores[-1]:g}, median {median(scores):g}"
        )
    for title, found in (("not graded", missing), ("to be looked at", flagged)):
        if found:
            console.print(f"{len(found)} {title}:")
            listed(found, console)


def tell_changes(drive: Drive, old: Path | None, console: Console) -> None:
    """Print whose mark is another than before, and why."""
    changes = drive.changes(old)
    if not changes and old is None:
        return
    since = old or "the last run"
    console.print(f"{len(changes)} marks differ from {since}{':' if changes else ''}")

    def mark(value: float | None) -> str:
        return "none" if value is None else f"{value:g}"

    found = [(c.key, f"{mark(c.before)} → {mark(c.after)} ({c.why})") for c in changes]
    listed(found, console, len(found) if old else SHOWN)


def listed(found: list[tuple[str, str]], console: Console, most: int = SHOWN) -> None:
    """Print a list, its first lines."""
    for key, text in found[:most]:
        console.print(f"  {key}: {text}", markup=False)
    if len(found) > most:
        console.print(f"  and {len(found) - most} more, which the page lists")


class Meter:
    """Shows how far something is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self.console, self.what, self.total = console, what, total
        self.done = 0
        self.started = self.told = time.monotonic()
        self.bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(what, total=total, rate="")

    def step(self, said: Any = "") -> None:
        """Count one, and tell what is to be told of it."""
        self.done += 1
        now = time.monotonic()
        taken = max(now - self.started, 1e-3)
        rate = f"{60 * self.done / taken:.0f} a minute"
        self.bar.update(self.task, advance=1, rate=rate)
        if said:
            self.console.print(said, markup=False, style="yellow")
        if not self.console.is_terminal and now - self.told > EVERY:
            self.told = now
            left = taken / self.done * (self.total - self.done)
            text = f"{self.what}: {self.done} of {self.total}, {rate}, about {left:.0f} s left"
            self.console.print(text)
            sys.stdout.flush()

    def __enter__(self) -> "Meter":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
