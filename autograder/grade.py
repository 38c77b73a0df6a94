"""Grades one submission: from a hand-in and fixtures to a `Result`.

The order of things: the submission is copied, its steps are run in a process that sees inputs only,
and what came back is judged here, where the targets are.
"""

import hashlib
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, checks, hidden, sandbox
from .checks.verdict import Verdict
from .corpus import Corpus
from .exam import Exam
from .files import temporary_folder
from .fixtures import FORWARD, Fixtures
from .judge import CHUNK, TITLES, judge_generation, judge_prediction, judge_weights
from .result import Check, Flag, Result
from .run import Observation, Step, run
from .submission import Submission, SubmissionError, digest_of, take

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from .referee import Referee

GRADED = [
    Step("weights", "weights", seconds=120, needs=("language_model.build", "inference.import")),
    Step("prediction", "prediction", seconds=300, needs=("weights",), inputs=("prediction",)),
    Step(
        "generation",
        "generation",
        (str(FORWARD),),
        seconds=300,
        needs=("weights",),
        inputs=("generation",),
    ),
]


def grade(
    source: Path,
    exam: Exam,
    *,
    log: Path,
    given: Mapping[str, bytes] | None = None,
    on_step: Callable[[str], None] = lambda _: None,
    box: sandbox.Chosen | None = None,
) -> Result:
    """Grade a hand-in.

    Args:
        source: folder or archive.
        exam: what it is graded against.
        log: file that takes what the submission prints.
        given: the files that a hand-in may leave out, by name.
        on_step: called with the id of each step when it begins.
        box: the sandbox; a plain process if None. The grade is official where the fixtures are
            hidden and this is strong enough.

    Raises:
        Fault: no grade can be given: the worker cannot be started.
    """
    box = box or sandbox.practice()
    corpus, fixtures, rules = exam.corpus, exam.fixtures, exam.rules
    started = time.monotonic()
    verdicts: list[Verdict] = []
    metrics: dict[str, float] = {"uniform_nll": math.log(len(corpus.vocab))}
    earned: dict[str, float] = {}
    samples: list[dict[str, str]] = []
    raised: list[Flag] = []
    with hand_in(source, given) as (submission, error):
        name, digest, receipt = source.resolve().name, "", {}
        if submission is None:
            verdicts.append(Verdict("submission.read", "the hand-in can be read", False, *error))
            # So that it is graded out of as many points as the others.
            verdicts += [Verdict(id, id, None, "not run") for id in rules.checks]
            seen = {}
        else:
            name, digest = submission.name, submission.digest
            receipt = submission.receipt(corpus.name)
            seen = observe(submission, exam, log, on_step, box)
            verdicts += checks.judge(seen, submission.missing)
            verdicts.append(judge_weights(submission, corpus.name, seen["weights"]))
        ready = bool(seen) and seen["weights"].ok
        for problem, judge in (("prediction", judge_prediction), ("generation", judge_generation)):
            if not ready:
                reason = "not run: it needs the trained weights" if seen else "not run"
                verdicts.append(Verdict(problem, TITLES[problem], None, reason))
                continue
            verdict, points, found, odd = judge(seen[problem], exam)
            if not (found or fixtures.public):
                verdict = hidden.veiled(verdict, seen[problem], submission.root)
            verdicts.append(verdict)
            earned[problem] = points
            metrics.update(found)
            raised += odd
    if fixtures.public and "generation_nll" in metrics:
        samples = examples(seen["generation"], corpus, fixtures)
    worth = {
        **rules.checks,
        "prediction": rules.prediction.max_points,
        "generation": rules.generation.max_points,
    }
    graded = tuple(
        Check(
            id=v.id,
            title=v.title,
            passed=v.passed,
            message=v.message,
            hint=v.hint,
            score=earned.get(v.id, worth.get(v.id, 0.0) if v.passed else 0.0),
            max_score=worth.get(v.id, 0.0),
            seconds=round(v.seconds, 3),
        )
        for v in verdicts
    )
    return Result(
        submission=name,
        submission_digest=digest,
        corpus=corpus.name,
        fixtures=fixtures.digest,
        rubric=rules.digest,
        official=box.official and not fixtures.public,
        checks=graded,
        metrics={key: round(value, 4) for key, value in metrics.items()},
        scales={
            "prediction": [list(step) for step in rules.prediction.steps],
            "generation": [list(step) for step in rules.generation.steps],
        },
        flags=tuple(raised),
        samples=tuple(samples),
        notice=exam.notice,
        receipt=receipt,
        timing={"total": round(time.monotonic() - started, 3)},
        environment=environment(exam.referee, box, given or {}),
    )


@contextmanager
def hand_in(
    source: Path, given: Mapping[str, bytes] | None
) -> Iterator[tuple[Submission | None, tuple[str, str] | None]]:
    """Copy a hand-in to a temporary folder for the length of a `with` block.

    Gives `(submission, None)`, or `(None, (message, hint))` where it cannot be read.
    """
    with temporary_folder() as folder:
        copy = folder / "hand-in"
        copy.mkdir()
        try:
            taken = take(source, copy, given), None
        except SubmissionError as error:
            taken = None, (str(error), error.hint)
        yield taken


def check(
    source: Path,
    *,
    log: Path,
    given: Mapping[str, bytes] | None = None,
    on_step: Callable[[str], None] = lambda _: None,
    box: sandbox.Chosen | None = None,
) -> tuple[Check, ...]:
    """Make the checks of the four classes only: no corpus, no weights, no points."""
    with hand_in(source, given) as (submission, error):
        if submission is None:
            verdicts = [Verdict("submission.read", "the hand-in can be read", False, *error)]
        else:
            steps = checks.steps(submission.has("regularization"))
            seen = run(submission, steps, checks.arrays(), checks.settings(), log, on_step, box)
            verdicts = checks.judge(seen, submission.missing)
    return tuple(
        Check(v.id, v.title, v.passed, v.message, v.hint, seconds=round(v.seconds, 3))
        for v in verdicts
    )


def observe(
    submission: Submission,
    exam: Exam,
    log: Path,
    on_step: Callable[[str], None],
    box: sandbox.Chosen,
) -> dict[str, Observation]:
    """Run all steps of a grading: the checks', and the graded ones where there are weights."""
    corpus, fixtures, block = exam.corpus, exam.fixtures, exam.known
    weights = submission.weights(corpus.name)
    steps = checks.steps(submission.has("regularization"))
    if {"language_model", "inference"} & set(submission.missing):
        weights = None
    steps += [replace(s, hidden=not fixtures.public and bool(s.inputs)) for s in GRADED]
    prefixes = fixtures.prediction
    arrays = {
        **checks.arrays(),
        "prediction": block.mixed(prefixes, block.prediction) if block else prefixes,
        "generation": fixtures.generation,
    }
    settings = {
        **checks.settings(),
        "vocab_size": len(corpus.vocab),
        "weights": weights,
        "chunk": CHUNK,
    }
    return run(submission, steps, arrays, settings, log, on_step, box)


def examples(seen: Observation, corpus: Corpus, fixtures: Fixtures) -> list[dict[str, str]]:
    """Return a few prompts with what was generated and what stands there."""
    words = seen.arrays.get("words")
    if words is None or words.shape != fixtures.human.shape:
        return []
    return [
        {
            "prompt": corpus.words(fixtures.generation[i]),
            "generated": corpus.words(words[i].astype(np.int64)),
            "human": corpus.words(fixtures.human[i]),
        }
        for i in range(0, len(words), len(words) // 6)
    ]


def environment(
    referee: "Referee", box: sandbox.Chosen, given: Mapping[str, bytes]
) -> dict[str, str]:
    """Return what a grade may depend on."""
    return {
        "kit": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        **box.facts(),
        "referee": referee.digest,
        "grader": source_digest(),
        "given": digest_of({n: hashlib.sha256(data).hexdigest() for n, data in given.items()}),
    }


@cache
def source_digest() -> str:
    """SHA-256 over the grader's own source, so that a result says what made it."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()
