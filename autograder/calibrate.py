"""Measures what the rubric's steps are set from: what known systems earn on many hidden draws.

An instructor's tool: it runs the solution in this process, without a sandbox, because it is the
instructor's own. Counting models and the texts' own words stand beside it: a step is right where
the solution is always above it, and a model that only counts never. The marks are those of
`grade.py`, on fixtures drawn as hidden ones are. Not covered: anybody's submission.
"""

import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import fixtures as drawing
from . import rubric, score
from .corpus import Corpus
from .files import atomic_write
from .fixtures import FORWARD, Fixtures
from .grade import CHUNK, mark_generation, mark_prediction
from .ngrams import NGram
from .referee import Referee

ROOT = Path(__file__).resolve().parent.parent
NGRAMS = {"uniform": 0, "unigram": 1, "bigram": 2, "Kneser-Ney 5-gram": 5}
UNTRAINED, QUICK, FULL, HUMAN = "untrained", "quick reference", "full reference", "human text"
SYSTEMS = (*NGRAMS, UNTRAINED, QUICK, FULL, HUMAN)


@dataclass(frozen=True)
class System:
    """What is measured: the NLLs of the next words, float64 [rows], and words it continues with."""

    name: str
    nll: Callable[[Fixtures], np.ndarray] | None
    words: Callable[[Fixtures], np.ndarray]


@dataclass(frozen=True)
class Trial:
    """One system on one draw: points and metrics of a problem, as grading gives them."""

    system: str
    seed: int
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
    full: draws with full points; points: their mean. circles: the mean share of degenerate
    continuations, for generation. What a problem does not have is NaN.
    """

    problem: str
    system: str
    draws: int
    nll: float
    spread: float
    stderr: float
    plain_stderr: float
    full: int
    points: float
    circles: float


def systems(
    corpus: Corpus, wanted: tuple[str, ...] = SYSTEMS, full: Path | None = None
) -> Iterator[System]:
    """Build the systems one by one; the full reference only where its checkpoint is given."""
    size = len(corpus.vocab)
    for name, order in NGRAMS.items():
        if name in wanted:
            yield counting(name, NGram.fit(corpus.train, size, order))
    checkpoints = {QUICK: weights(corpus.name), FULL: full}
    if UNTRAINED in wanted:
        yield neural(UNTRAINED, None, size)
    for name, path in checkpoints.items():
        if name in wanted and path is not None:
            yield neural(name, path, size)
    if HUMAN in wanted:
        yield System(HUMAN, None, lambda drawn: drawn.human)


def weights(corpus: str) -> Path:
    """Where the solution's weights for a corpus are."""
    stem = "checkpoint" if corpus == "wikitext2" else f"checkpoint.{corpus}"
    return ROOT / "solution" / f"{stem}.safetensors"


def counting(name: str, model: NGram) -> System:
    """A model of counts, which continues greedily."""
    return System(
        name,
        lambda drawn: model.nll(drawn.prediction, drawn.next_word),
        lambda drawn: model.greedy(drawn.generation, FORWARD),
    )


def neural(name: str, path: Path | None, size: int) -> System:
    """The solution with the weights of a checkpoint, or with none, through its own inference."""
    sys.path[:0] = [str(ROOT / part) for part in ("solution", "handout")]
    try:
        import checkpoint
        from inference import TestLanguageModel
        from language_model import LanguageModel
    finally:
        del sys.path[:2]
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = LanguageModel(size)
    else:
        model = checkpoint.load(path, LanguageModel, size)

    def nll(drawn: Fixtures) -> np.ndarray:
        parts = []
        for i in range(0, len(drawn.prediction), CHUNK):
            ids = torch.from_numpy(drawn.prediction[i : i + CHUNK])
            scores = TestLanguageModel.prediction(ids, model).numpy()
            parts.append(score.target_nll(scores, drawn.next_word[i : i + CHUNK]))
        return np.concatenate(parts)

    def words(drawn: Fixtures) -> np.ndarray:
        return TestLanguageModel.generation(
            torch.from_numpy(drawn.generation), FORWARD, model
        ).numpy()

    return System(name, nll, words)


def trials(
    corpus: Corpus,
    referee: Referee,
    measured: list[System],
    seeds: list[str],
    split: str,
    rules: rubric.Rubric,
) -> Iterator[list[Trial]]:
    """Draw fixtures for each secret and mark every system on them; give one draw's at a time."""
    for seed, secret in enumerate(seeds):
        drawn = drawing.draw(corpus, split, secret, referee)
        found = []
        for system in measured:
            if system.nll is not None:
                marks = mark_prediction(system.nll(drawn), drawn, rules)
                found.append(Trial(system.name, seed, "prediction", *marks))
            marks = mark_generation(system.words(drawn), corpus, drawn, referee, rules)
            found.append(Trial(system.name, seed, "generation", *marks))
        yield found


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
                    len(its),
                    float(np.mean(nll)),
                    float(np.std(nll, ddof=1)) if len(nll) > 1 else 0.0,
                    _mean(its, f"{problem}_nll_stderr"),
                    _mean(its, "prediction_nll_plain_stderr"),
                    sum(trial.points == most for trial in its),
                    float(np.mean([trial.points for trial in its])),
                    _mean(its, "generation_degenerate"),
                )
            )
    return rows


def _mean(its: list[Trial], key: str) -> float:
    return float(np.mean([trial.metrics.get(key, np.nan) for trial in its]))


def table(rows: list[Row]) -> str:
    """Write the rows as Markdown, a table a problem."""
    lines = []
    for problem, odd in (("prediction", "plain error"), ("generation", "circles")):
        head = ["NLL", "spread", "standard error", odd, "full points", "points"]
        lines += ["", f"| {problem} | {' | '.join(head)} |", "| --- " * 7 + "|"]
        for row in rows:
            if row.problem != problem:
                continue
            prediction = row.problem == "prediction"
            extra = f"{row.plain_stderr:.3f}" if prediction else f"{row.circles:.0%}"
            lines.append(
                f"| {row.system} | {row.nll:.3f} | {row.spread:.3f} | {row.stderr:.3f} | {extra} "
                f"| {row.full} of {row.draws} | {row.points:.1f} |"
            )
    return "\n".join(lines).strip()


def calibrate(
    corpus: Corpus,
    referee: Referee,
    *,
    split: str = "test",
    draws: int = 20,
    secret: str | None = None,
    wanted: tuple[str, ...] = SYSTEMS,
    full: Path | None = None,
    out: Path | None = None,
    rubric_path: Path = rubric.DEFAULT,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Measure the systems over secret draws, tell how it goes, and write what was found.

    Args:
        corpus: the corpus.
        referee: that corpus' referee.
        split: where fixtures are drawn from.
        draws: how many secrets.
        secret: they are derived from it; None takes the system's randomness.
        wanted: names of `SYSTEMS`.
        full: checkpoint of a larger solution.
        out: file for all trials and the summary, JSON; the secrets are not in it.
        rubric_path: points and thresholds.
        say: takes each line.
    """
    rules = rubric.load(corpus.name, rubric_path)
    base = secret if secret is not None else secrets.token_hex(16)
    measured = list(systems(corpus, wanted, full))
    say(f"{corpus.name}, {draws} secret draws of the {split} split; NLL of prediction, generation")
    found: list[Trial] = []
    started = time.monotonic()
    seeds = [f"{base}/{i}" for i in range(draws)]
    for seed, new in enumerate(trials(corpus, referee, measured, seeds, split, rules), 1):
        found += new
        figures = ", ".join(
            f"{name} {' '.join(f'{t.nll:.2f}' for t in new if t.system == name)}"
            for name in dict.fromkeys(trial.system for trial in new)
        )
        left = (time.monotonic() - started) / seed * (draws - seed)
        say(f"draw {seed} of {draws}: {figures} ({left:.0f} s left)")
    rows = summary(found, rules)
    say("\n" + table(rows))
    if out is not None:
        _write(out, corpus, split, found, rows)
    return rows


def _write(out: Path, corpus: Corpus, split: str, found: list[Trial], rows: list[Row]) -> None:
    fields: dict[str, Any] = {
        "corpus": corpus.name,
        "split": split,
        "rows": [{k: v for k, v in vars(row).items() if v == v} for row in rows],
        "trials": [vars(trial) for trial in found],
    }
    with atomic_write(out) as file:
        file.write(json.dumps(fields, indent=1).encode() + b"\n")
