"""What both renderers show of a result: groups in their order, equal failures told once.

Covered: order, grouping, wording of counts, and cleaning every text. Not covered: how it looks.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .. import score
from ..result import Check, Result
from . import figures
from .text import line, plain

PROBLEMS = ("prediction", "generation")
OUTCOMES = ("failed", "passed", "not run")
OPTIONAL = "regularization"
_GROUPS = {  # the order of the report: name, title, what the student wrote there
    "submission": ("Hand-in", ""),
    "data_loader": ("Data loader", "LanguageModelDataLoader"),
    "language_model": ("Language model", "LanguageModel"),
    "trainer": ("Trainer", "LanguageModelTrainer"),
    "inference": ("Inference", "TestLanguageModel"),
    OPTIONAL: ("Regularization (optional)", ""),
    "weights": ("Weights", ""),
    "prediction": ("Prediction", ""),
    "generation": ("Generation", ""),
}
_NOT_RUN = re.compile(r"\Anot run:\s*", re.IGNORECASE)
CORPORA = {"wikitext2": "WikiText-2", "numbers": "numbers, the practice corpus"}


@dataclass(frozen=True)
class Row:
    """One check's title and its points, "" where it carries none."""

    title: str
    points: str
    message: str


@dataclass(frozen=True)
class Cluster:
    """Checks that say the same; `anchor` names the cluster within the page."""

    anchor: str
    rows: tuple[Row, ...]
    message: str
    hint: str


@dataclass(frozen=True)
class Group:
    """The checks of one class or problem, by outcome."""

    name: str
    title: str
    subject: str
    failed: tuple[Cluster, ...]
    not_run: tuple[Cluster, ...]
    passed: tuple[Row, ...]
    score: float
    max_score: float

    @property
    def size(self) -> int:
        """How many checks it holds."""
        return len(self.passed) + sum(len(told.rows) for told in self.failed + self.not_run)

    @property
    def outcome(self) -> str:
        """The worst that happened: "failed", else "not run", else "passed"."""
        return "failed" if self.failed else "not run" if self.not_run else "passed"

    @property
    def points(self) -> str:
        """`5 of 10`, or "" where the group carries no points."""
        return figures.points(self.score, self.max_score)

    @property
    def counts(self) -> str:
        """`2 checks failed, 3 passed, 1 not run`."""
        return counts([self])


@dataclass(frozen=True)
class Problem:
    """A scored problem: its group where there are checks of it, and its figures."""

    name: str
    title: str
    group: Group | None
    nll: float | None
    stderr: float | None
    steps: tuple[tuple[float, float], ...]
    ppl: float | None

    @property
    def measured(self) -> str:
        """`NLL 5.31 ± 0.04`, or "" where nothing was measured."""
        if self.nll is None:
            return ""
        error = f" ± {figures.nll(self.stderr)}" if self.stderr is not None else ""
        return f"NLL {figures.nll(self.nll)}{error}"

    @property
    def perplexity(self) -> str:
        """`perplexity 202`, or ""."""
        return f"perplexity {figures.perplexity(self.ppl)}" if self.ppl is not None else ""

    @property
    def close(self) -> bool:
        """Whether the luck of the draw could have given other points: the message says so."""
        if self.nll is None or self.stderr is None or not self.steps:
            return False
        return score.luck(score.Mean(self.nll, self.stderr), self.steps) is not None

    @property
    def goal(self) -> str:
        """What gives full points, or ""."""
        return f"full points at {self.steps[0][0]:.2f} or below" if self.steps else ""


@dataclass(frozen=True)
class View:
    """A result, cleaned and in order."""

    submission: str
    corpus: str
    official: bool
    notice: str
    score: float
    max_score: float
    classes: tuple[Group, ...]
    problems: tuple[Problem, ...]
    flags: tuple[str, ...]
    sandbox: str

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups that hold checks, in the order of the report."""
        scored = tuple(problem.group for problem in self.problems if problem.group is not None)
        return self.classes + scored

    @property
    def total(self) -> str:
        """`Score 87.5 of 100`."""
        return f"Score {figures.number(self.score)} of {figures.number(self.max_score)}"

    @property
    def counts(self) -> str:
        """How many checks failed, passed and were not run."""
        return counts(self.groups)

    @property
    def first(self) -> tuple[Group, Cluster] | None:
        """The failure to mend first."""
        return first_of(self.groups)


def of(result: Result) -> View:
    """The view of a result."""
    groups = _groups(result.checks)
    problems = tuple(
        problem for name in PROBLEMS if (problem := _problem(result, name, groups)) is not None
    )
    return View(
        submission=line(result.submission) or "a submission",
        corpus=CORPORA.get(result.corpus, line(result.corpus)),
        official=result.official,
        notice=plain(result.notice).strip(),
        score=result.score,
        max_score=result.max_score,
        classes=tuple(group for name, group in groups.items() if name not in PROBLEMS),
        problems=problems,
        flags=tuple(plain(flag.message).strip() or line(flag.id) for flag in result.flags),
        sandbox=_sandbox(result.environment),
    )


def _sandbox(environment: dict[str, str]) -> str:
    """`Sandbox T1: bubblewrap, a user of its own; 11 of 11 attempts stopped`, or ""."""
    tier, *facts = (environment.get(key, "") for key in ("tier", "sandbox", "canary"))
    return line(f"Sandbox {tier}: {'; '.join(filter(None, facts))}") if tier else ""


def groups_of(checks: Iterable[Check]) -> tuple[Group, ...]:
    """The groups of some checks, in the order of the report."""
    return tuple(_groups(checks).values())


def first_of(groups: Iterable[Group]) -> tuple[Group, Cluster] | None:
    """The failure to mend first: the earliest, an optional class's last of all."""
    failures = [(group, group.failed[0]) for group in groups if group.failed]
    return min(failures, key=lambda found: found[0].name == OPTIONAL, default=None)


def _groups(checks: Iterable[Check]) -> dict[str, Group]:
    found: dict[str, list[Check]] = {name: [] for name in _GROUPS}
    for check in checks:
        found.setdefault(check.group, []).append(check)
    return {
        name: _group(name, members, f"g{place}")
        for place, (name, members) in enumerate(found.items(), 1)
        if members
    }


def _group(name: str, checks: list[Check], anchor: str) -> Group:
    title, subject = _GROUPS.get(name, (line(name), ""))
    failed = [check for check in checks if check.passed is False]
    not_run = [check for check in checks if check.passed is None]
    return Group(
        name=line(name),
        title=title,
        subject=subject,
        failed=_clusters(failed, f"{anchor}f"),
        not_run=_clusters(not_run, f"{anchor}n"),
        passed=tuple(_row(check) for check in checks if check.passed),
        score=sum(check.score for check in checks),
        max_score=sum(check.max_score for check in checks),
    )


def _row(check: Check) -> Row:
    title = line(check.title) or line(check.id)
    return Row(title, figures.points(check.score, check.max_score), line(check.message))


def _clusters(checks: list[Check], anchor: str) -> tuple[Cluster, ...]:
    alike: dict[tuple[str, str], list[Row]] = {}
    for check in checks:
        message = plain(check.message).strip()
        if check.passed is None:  # the mark says it already
            message = _NOT_RUN.sub("", message, count=1)
        said = message, plain(check.hint).strip()
        alike.setdefault(said, []).append(_row(check))
    return tuple(
        Cluster(f"{anchor}{place}", tuple(rows), message, hint)
        for place, ((message, hint), rows) in enumerate(alike.items(), 1)
    )


def _problem(result: Result, name: str, groups: dict[str, Group]) -> Problem | None:
    metrics, steps = result.metrics, result.scales.get(name, [])
    if name not in groups and not steps and f"{name}_nll" not in metrics:
        return None
    return Problem(
        name=name,
        title=_GROUPS[name][0],
        group=groups.get(name),
        nll=metrics.get(f"{name}_nll"),
        stderr=metrics.get(f"{name}_nll_stderr"),
        steps=tuple((float(step[0]), float(step[1])) for step in steps),
        ppl=figures.ppl_of(metrics, name),
    )


def counts(groups: Iterable[Group], outcomes: tuple[str, ...] = OUTCOMES) -> str:
    """`2 checks failed, 3 passed`: the noun once, the worst first, no zeros."""
    groups = list(groups)
    amounts = {
        "failed": sum(len(cluster.rows) for group in groups for cluster in group.failed),
        "passed": sum(len(group.passed) for group in groups),
        "not run": sum(len(cluster.rows) for group in groups for cluster in group.not_run),
    }
    words = [(amount, outcome) for outcome in outcomes if (amount := amounts[outcome])]
    if not words:
        return "nothing was checked"
    (amount, outcome), *others = words
    rest = [f"{amount} {outcome}" for amount, outcome in others]
    return ", ".join([f"{figures.count(amount, 'check')} {outcome}", *rest])
