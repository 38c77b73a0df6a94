"""Shows a result as lines: what is wrong, what to do, the score.

Works at any width, in a pipe (no colour, no boxes) and on a console that knows ASCII only.
Untrusted text comes cleaned from `view.py` and goes out as `Text`, which reads no markup.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..result import Check, Result
from . import figures, view
from .text import line

WIDEST = 100  # longer lines are hard to read
LONGEST = 700  # characters of one message; the page has it whole
_STYLES = {"passed": "green", "failed": "bold red", "not run": "yellow"}
_ASCII = str.maketrans({"±": "+/-", "×": "x", "·": "|", "→": "->", "…": "...", "–": "-"})


@dataclass(frozen=True)
class _Page:
    """A console and how to write on it."""

    console: Console

    @property
    def fancy(self) -> bool:
        """Whether the console can show more than ASCII."""
        return self.console.encoding.startswith("utf")

    def fit(self, text: str) -> str:
        """The text in characters that the console's encoding has."""
        if self.fancy:
            return text
        encoding = self.console.encoding
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)

    def mark(self, outcome: str) -> str:
        """One character for an outcome."""
        marks = ("✓", "✗", "–") if self.fancy else ("+", "x", "-")
        return dict(zip(("passed", "failed", "not run"), marks, strict=True))[outcome]

    def write(self, text: str = "", style: str = "", indent: int = 0, lead: str = "") -> None:
        """Print `text` wrapped behind `lead`, its later lines under its first."""
        head = Text(" " * indent + (f"{self.fit(lead)} " if lead else ""), style)
        room = max(20, min(self.console.width, WIDEST) - head.cell_len)
        lines = Text(self.fit(text), style).wrap(self.console, room)
        for place, part in enumerate(lines):
            part.rstrip()
            before = head if place == 0 else Text(" " * head.cell_len)
            whole = Text.assemble(before, part) if part else Text()
            self.console.print(whole, highlight=False)

    def outcome(self, outcome: str, text: str, indent: int = 0, quiet: bool = False) -> None:
        """Print a line that opens with its outcome's mark."""
        style = _STYLES[outcome].removeprefix("bold " if quiet else "")
        self.write(text, style, indent, self.mark(outcome))


def show(result: Result, console: Console, report: Path | None = None) -> None:
    """Print the result; `report` is where its page was written."""
    seen, page = view.of(result), _Page(console)
    if seen.notice:
        _banner(page, seen.notice)
    page.write(f"{seen.submission} · {seen.corpus}", "bold")
    page.write()
    for group in seen.classes:
        _group(page, group)
    if seen.problems:
        page.write()
    for problem in seen.problems:
        _problem(page, problem)
    _flags(page, seen.flags)
    page.write()
    page.write(seen.total + ("" if seen.official else " · practice, not official"), "bold")
    _next(page, seen.first)
    if seen.sandbox:
        page.write(seen.sandbox)
    if report is not None:
        # Never wrapped: a path in two lines cannot be copied.
        console.print(Text(page.fit(f"Report {line(str(report), 4096)}")), soft_wrap=True)


def show_checks(checks: Iterable[Check], console: Console) -> None:
    """Print checks alone, as `make check` makes them: no problems, no points."""
    groups, page = view.groups_of(checks), _Page(console)
    for group in groups:
        _group(page, group)
    page.write()
    page.write(view.counts(groups).capitalize(), "bold")
    _next(page, view.first_of(groups))


def _next(page: _Page, first: tuple[view.Group, view.Cluster] | None) -> None:
    if first is not None:
        group, cluster = first
        page.write(f"{group.name}: {cluster.rows[0].title}", lead="Start with")


def _banner(page: _Page, notice: str) -> None:
    if page.console.is_terminal:
        width = min(page.console.width, WIDEST)
        text = Text(page.fit(notice))
        page.console.print(
            Panel(text, box=box.ROUNDED, border_style="yellow", width=width), highlight=False
        )
    else:
        page.write(notice, lead="!")
    page.write()


def _group(page: _Page, group: view.Group) -> None:
    optional = group.name == view.OPTIONAL
    name = f"{group.name} (optional)" if optional else group.name
    # What was not run beside a failure gets a line of its own below.
    counts = view.counts([group], ("failed", "passed")) if group.failed else group.counts
    page.outcome(group.outcome, _ended(f"{name}: {counts}", group.points))
    _details(page, group, waiting=not optional)


def _problem(page: _Page, problem: view.Problem) -> None:
    group = problem.group
    outcome = group.outcome if group else "passed" if problem.nll is not None else "not run"
    facts = [problem.measured or "no NLL measured", problem.perplexity, problem.goal]
    heading = f"{problem.name}: {group.points} points" if group and group.points else problem.name
    page.outcome(outcome, heading)
    page.write(" · ".join(fact for fact in facts if fact), indent=4)
    if group is not None:
        several = group.size > 1  # the title of a lone check says nothing that the heading does not
        _details(page, group, failing=several, waiting=several)
        for row in group.passed if problem.close else ():
            page.write(_cut(row.message), indent=4)


def _details(page: _Page, group: view.Group, failing: bool = True, waiting: bool = True) -> None:
    """What failed, with what to do; then what was not run, in one line where something failed.

    `failing` and `waiting` say whether the titles of failed and of not-run checks are shown.
    """
    for cluster in group.failed:
        for row in cluster.rows if failing else ():
            page.outcome("failed", _ended(row.title, row.points), 2, quiet=True)
        _told(page, cluster)
    if group.failed and group.not_run:
        amount = sum(len(cluster.rows) for cluster in group.not_run)
        reasons = [line(cluster.message) for cluster in group.not_run if cluster.message]
        why = f": {'; '.join(reasons)}" if reasons else ""
        page.outcome("not run", f"{figures.count(amount, 'check')} not run{why}", 2)
        return
    for cluster in group.not_run:
        for row in cluster.rows if waiting else ():
            page.outcome("not run", row.title, 2)
        _told(page, cluster)


def _told(page: _Page, cluster: view.Cluster) -> None:
    if cluster.message:
        page.write(_cut(cluster.message), indent=4)
    if cluster.hint:
        page.write(_cut(cluster.hint), "cyan", indent=4, lead="→")


def _flags(page: _Page, flags: tuple[str, ...]) -> None:
    if not flags:
        return
    page.write()
    page.write("For a person to look at; no points are taken for it:", "yellow")
    for flag in flags:
        page.write(_cut(flag), indent=2, lead="!")


def _ended(text: str, points: str) -> str:
    return f"{text} · {points} points" if points else text


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
