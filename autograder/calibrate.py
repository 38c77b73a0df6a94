"""Measures what the rubric's steps are set from: what known systems earn on many hidden draws.

A step is right where the solution is always above it, and a model that only counts never. The marks
are those of `grade.py`, on fixtures drawn as hidden ones are; on the same draws the flags' false
alarms and hits are counted (`flags/rates.py`). Not covered: what the systems are (`systems.py`).
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import fixtures, rubric, systems
from .corpus import Corpus
from .exam import Exam
from .files import atomic_write
from .fixtures import Fixtures
from .flags import rates
from .judge import mark_generation, mark_prediction
from .referee import Referee
from .systems import System

HONEST = (systems.QUICK, systems.FULL)  # every flag of theirs is a false alarm


@dataclass(frozen=True)
class Trial:
    """One system on one draw: points and metrics of a problem, as grading gives them."""

    system: str
    draw: int
    problem: str
    points: float
    metrics: dict[str, float]

    @property
    def nll(self) -> float:
        """The graded one."""
        return self.metrics[f"{self.problem}_nll"]


@dataclass(frozen=True)
class Row:
    """One system on one problem over all draws.

    nll, spread: mean and standard deviation of the graded NLL. stderr: the mean of what each draw
    says its standard error is; plain_stderr the same without the control variate, for prediction.
    full: draws with full points; points: their mean. degenerate: the mean share of continuations
    that are no text, for generation. What a problem does not have is None.
    """

    problem: str
    system: str
    draws: int
    nll: float
    spread: float
    stderr: float
    plain_stderr: float | None
    full: int
    points: float
    degenerate: float | None


def calibrate(
    corpus: Corpus,
    referee: Referee,
    *,
    split: str = "test",
    draws: int = 20,
    secret: str | None = None,
    wanted: tuple[str, ...] = systems.NAMES,
    full: Path | None = None,
    out: Path | None = None,
    rubric_path: Path = rubric.DEFAULT,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Measure systems over secret draws, tell how it goes, and write what was found.

    Args:
        corpus: the corpus.
        referee: that corpus' referee.
        split: where fixtures are drawn from.
        draws: how many secrets.
        secret: they are derived from it; None takes the system's randomness.
        wanted: names of systems.
        full: checkpoint of a larger solution.
        out: file for all trials and the summary, JSON; the secrets are not in it.
        rubric_path: points and thresholds.
        say: takes each line.
    """
    rules = rubric.load(corpus.name, rubric_path)
    base = secret if secret is not None else secrets.token_hex(16)
    measured = list(systems.build(corpus, wanted, full))
    found: list[Trial] = []
    started = time.monotonic()

    def drawn() -> Iterator[Fixtures]:
        for draw in range(draws):
            one = fixtures.draw(corpus, split, f"{base}/{draw}", referee)
            new = trials(measured, draw, one, corpus, referee, rules)
            found.extend(new)
            yield one
            left = (time.monotonic() - started) / (draw + 1) * (draws - draw - 1)
            say(f"draw {draw + 1} of {draws}: {_line(new)} ({left:.0f} s left)")

    say(f"{corpus.name}, {draws} secret draws of the {split} split; NLL of prediction, generation")
    honest = [system for system in measured if system.name in HONEST]
    alarms: list[rates.Rate] = []
    if honest:
        cheats = rates.planted(corpus, split)
        alarms = rates.rates(corpus, referee, rules, drawn(), honest, cheats)
    else:
        for _ in drawn():
            pass
    rows = summary(found, rules)
    say("\n" + "\n\n".join([table(rows), *([rates.table(alarms)] if alarms else [])]))
    if out is not None:
        parts = {"rows": rows, "trials": found, "flags": alarms}
        lists = {name: [vars(one) for one in part] for name, part in parts.items()}
        with atomic_write(out) as file:
            about = {"corpus": corpus.name, "split": split, **lists}
            file.write(json.dumps(about, indent=1).encode() + b"\n")
    return rows


def trials(
    measured: list[System],
    draw: int,
    drawn: Fixtures,
    corpus: Corpus,
    referee: Referee,
    rules: rubric.Rubric,
) -> list[Trial]:
    """Mark every system on the same fixtures, the draw of that number."""
    found, exam = [], Exam(corpus, drawn, referee, rules)
    for system in measured:
        if system.nll is not None:
            marks = mark_prediction(system.nll(drawn), drawn, rules)
            found.append(Trial(system.name, draw, "prediction", *marks))
        marks = mark_generation(system.words(drawn), exam)
        found.append(Trial(system.name, draw, "generation", *marks))
    return found


def summary(found: list[Trial], rules: rubric.Rubric) -> list[Row]:
    """Put the trials of each problem and system together, in the order they came in."""
    rows = []
    for problem in ("prediction", "generation"):
        most = getattr(rules, problem).max_points
        ours = [trial for trial in found if trial.problem == problem]
        for name in dict.fromkeys(trial.system for trial in ours):
            its = [trial for trial in ours if trial.system == name]
            nll = [trial.nll for trial in its]
            rows.append(
                Row(
                    problem,
                    name,
                    draws=len(its),
                    nll=float(np.mean(nll)),
                    spread=float(np.std(nll, ddof=1)) if len(nll) > 1 else 0.0,
                    stderr=_mean(its, f"{problem}_nll_stderr") or 0.0,
                    plain_stderr=_mean(its, "prediction_nll_plain_stderr"),
                    full=sum(trial.points == most for trial in its),
                    points=float(np.mean([trial.points for trial in its])),
                    degenerate=_mean(its, "generation_degenerate"),
                )
            )
    return rows


def table(rows: list[Row]) -> str:
    """Write the rows as Markdown, a table a problem."""
    lines = []
    for problem, other in (("prediction", "plain error"), ("generation", "no text")):
        head = [problem, "NLL", "spread", "standard error", other, "full points", "points"]
        lines += ["", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        for row in rows:
            if row.problem == problem:
                plain, share = row.plain_stderr, row.degenerate
                shown = f"{plain:.3f}" if plain is not None else f"{share:.0%}"
                lines.append(
                    f"| {row.system} | {row.nll:.3f} | {row.spread:.3f} | {row.stderr:.3f} "
                    f"| {shown} | {row.full} of {row.draws} | {row.points:.1f} |"
                )
    return "\n".join(lines).strip()


def _mean(its: list[Trial], key: str) -> float | None:
    values = [trial.metrics[key] for trial in its if key in trial.metrics]
    return float(np.mean(values)) if values else None


def _line(new: list[Trial]) -> str:
    nlls: dict[str, list[str]] = {}
    for trial in new:
        nlls.setdefault(trial.system, []).append(f"{trial.nll:.2f}")
    return ", ".join(f"{name} {' '.join(figures)}" for name, figures in nlls.items())
