"""Renders a class as one self-contained page, in the look of a report: no script, no outside file.

Covered: how many were graded, the spread of scores and NLLs, the leaderboard, which checks fail
most, and what a person should look at: flags, equal hand-ins, marks near a step, no grades. Without
names the page may be shown to the class: it then has no links, and nothing that is about one
person. Not covered: grades for a gradebook (`gradebook.py`).
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from .. import score
from ..files import atomic_write
from ..report import figures
from ..report.html import environment
from ..report.text import line
from ..report.view import CORPORA
from ..result import Result
from .histogram import Histogram, histogram
from .roll import Row

MOST_CHECKS = 20
PROBLEMS = {"prediction": "Prediction", "generation": "Generation"}


@dataclass(frozen=True)
class Place:
    """A line of the leaderboard; `href` is "" where there is no link."""

    rank: int
    name: str
    href: str
    prediction: str
    generation: str
    points: str
    practice: bool


@dataclass(frozen=True)
class Tally:
    """A check: how many hand-ins failed it, of how many on which it was run."""

    title: str
    group: str
    failed: int
    run: int

    @property
    def share(self) -> float:
        """Failed of run, in percent."""
        return 100 * self.failed / self.run


@dataclass(frozen=True)
class Told:
    """Someone, and what is to be said of them."""

    name: str
    href: str
    message: str


def write(
    rows: Sequence[Row], path: Path, title: str = "Language modelling", names: bool = True
) -> None:
    """Write the page, whole or not at all.

    Links to each report, `<key>/report.html`, are relative to the page's folder.
    """
    with atomic_write(path) as file:
        file.write(render(rows, title, names).encode())


def render(rows: Sequence[Row], title: str = "Language modelling", names: bool = True) -> str:
    """Return the page; without `names` each hand-in goes by its place on the leaderboard."""
    graded = sorted(
        ((row, row.result) for row in rows if row.result is not None),
        key=lambda pair: _order(pair[1], names),
    )
    results = [result for _, result in graded]
    scores = [result.score for result in results]
    alike = Counter((result.corpus, result.fixtures, result.rubric) for result in results)
    usual = Counter(result.max_score for result in results).most_common(1)
    return (
        environment(Path(__file__).parent)
        .get_template("class.html.j2")
        .render(
            title=line(title) or "A class",
            named=names,
            corpora=sorted({CORPORA.get(result.corpus, line(result.corpus)) for result in results}),
            mixed=len(alike),
            handed_in=len(rows),
            graded=len(results),
            ungraded=len(rows) - len(results),
            official=sum(result.official for result in results),
            most=usual[0][0] if usual else 0.0,
            quartiles=_quartiles(scores),
            drawings=_drawings(results, scores, usual[0][0] if usual else 0.0),
            places=_places(graded, names),
            tallies=_tallies(results),
            flags=_flags(graded) if names else {},
            equal=_equal(graded) if names else [],
            close=_close(graded) if names else [],
            lost=[
                Told(_name(row), "", row.reason or row.entry.reason)
                for row in rows
                if row.result is None and names
            ],
            number=figures.number,
            count=figures.count,
        )
    )


def _order(result: Result, names: bool) -> tuple[float, float, float, str]:
    """The best first; without names the order among equals must not be the alphabet's."""
    nlls = (result.metrics.get(f"{problem}_nll", math.inf) for problem in PROBLEMS)
    return (-result.score, *nlls, "" if names else result.submission_digest)


def _name(row: Row) -> str:
    return ", ".join(student.name for student in row.entry.students) or row.entry.key


def _href(row: Row) -> str:
    return f"{row.entry.key}/report.html"


def _quartiles(scores: list[float]) -> list[str]:
    """The three quartiles as text, the median alone where there are too few, or nothing."""
    if len(scores) < 4:
        return [figures.number(statistics.median(scores))] if scores else []
    return [figures.number(cut) for cut in statistics.quantiles(scores, n=4, method="inclusive")]


def _drawings(
    results: list[Result], scores: list[float], most: float
) -> list[tuple[str, str, Histogram]]:
    """Name, unit and drawing: the score, and the NLL of each problem."""
    drawn = [("Score", "points", histogram(scores, (), most))] if scores else []
    for problem, title in PROBLEMS.items():
        key = f"{problem}_nll"
        values = [result.metrics[key] for result in results if key in result.metrics]
        rubrics = Counter(
            tuple((float(step[0]), float(step[1])) for step in result.scales.get(problem, ()))
            for result in results
        ).most_common(1)
        if values:
            drawn.append((f"{title} NLL", "nats a word", histogram(values, rubrics[0][0])))
    return drawn


def _places(graded: Sequence[tuple[Row, Result]], names: bool) -> list[Place]:
    """The leaderboard; equal scores share a rank."""
    places: list[Place] = []
    number = 0
    for _, equals in groupby(graded, key=lambda pair: pair[1].score):
        rank = number + 1
        for row, result in equals:
            number += 1
            nlls = [result.metrics.get(f"{problem}_nll") for problem in PROBLEMS]
            prediction, generation = ("" if nll is None else figures.nll(nll) for nll in nlls)
            places.append(
                Place(
                    rank=rank,
                    name=_name(row) if names else f"hand-in {number}",
                    href=_href(row) if names else "",
                    prediction=prediction,
                    generation=generation,
                    points=figures.number(result.score),
                    practice=not result.official,
                )
            )
    return places


def _tallies(results: Sequence[Result]) -> list[Tally]:
    """The checks that failed, the most often failed first."""
    failed: Counter[str] = Counter()
    run: Counter[str] = Counter()
    titles: dict[str, tuple[str, str]] = {}
    for result in results:
        for check in result.checks:
            if check.passed is not None:
                run[check.id] += 1
                failed[check.id] += not check.passed
                titles.setdefault(check.id, (line(check.title) or line(check.id), check.group))
    tallies = [Tally(*titles[id], amount, run[id]) for id, amount in failed.items() if amount]
    return sorted(tallies, key=lambda tally: (-tally.failed, tally.title))[:MOST_CHECKS]


def _flags(graded: Sequence[tuple[Row, Result]]) -> dict[str, list[Told]]:
    """Who is flagged with what, by the flag's id."""
    found: dict[str, list[Told]] = {}
    for row, result in graded:
        for flag in result.flags:
            told = Told(_name(row), _href(row), line(flag.message))
            found.setdefault(line(flag.id), []).append(told)
    return dict(sorted(found.items()))


def _equal(graded: Sequence[tuple[Row, Result]]) -> list[list[Told]]:
    """Hand-ins that are equal to the byte; those that could not be read have no digest."""
    alike: dict[str, list[Told]] = {}
    for row, result in graded:
        if result.submission_digest:
            alike.setdefault(result.submission_digest, []).append(Told(_name(row), _href(row), ""))
    return [people for people in alike.values() if len(people) > 1]


def _close(graded: Sequence[tuple[Row, Result]]) -> list[Told]:
    """Whose points another draw of prompts could have changed: a step is within two errors."""
    found = []
    for row, result in graded:
        for problem, title in PROBLEMS.items():
            nll = result.metrics.get(f"{problem}_nll")
            stderr = result.metrics.get(f"{problem}_nll_stderr")
            steps = result.scales.get(problem)
            if nll is None or stderr is None or not steps:
                continue
            span = score.luck(score.Mean(nll, stderr), steps)
            if span:
                message = (
                    f"{title.lower()} NLL {figures.nll(nll)} ± {figures.nll(stderr)}, "
                    f"{figures.number(span[0])} to {figures.number(span[1])} points"
                )
                found.append(Told(_name(row), _href(row), message))
    return found
