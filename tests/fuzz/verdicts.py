"""Whatever a submission's steps brought back, judging it ends in verdicts.

An exception here would be a fault of the grader's own, and cost a whole class its grades.
"""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from autograder import checks, corpus, fixtures, hidden, judge, referee, rubric
from autograder.checks.verdict import MOST, Verdict
from autograder.corpus import Corpus
from autograder.exam import Exam
from autograder.fixtures import FORWARD, Fixtures
from autograder.run import Observation
from autograder.submission import Submission

from .drawing import JSON, SCORES, TEXT, Drawn, arrays, expected, values

STATUS = st.sampled_from(("ok",) * 15 + ("error", "timeout", "crash", "garbage", "not run"))
TYPES = st.sampled_from(
    ("NotImplementedError", "AttributeError", "SyntaxError", "TypeError", "RuntimeError", "")
)
WORDS = st.sampled_from(("LanguageModel.forward: see part 2", "must match", "argument", "cuda"))
WHERE = st.sampled_from(("", "trainer.py:3: x", "::::", "a.py", "trainer.py:x:"))
ERRORS = st.fixed_dictionaries(
    {}, optional={"type": TYPES | TEXT, "message": WORDS | TEXT, "where": WHERE | TEXT}
)
MANY = re.compile(r"puts\.([3-9]|\d\d)")  # three batches are enough
ONE_IN_FOUR = st.integers(0, 3).map(lambda drawn: drawn == 0)
PREDICTIONS, GENERATIONS = 2 * judge.CHUNK, 8


def observation(step: str, data: st.DataObject, wanted: Callable = expected) -> Observation:
    """Draw what a step brought back, entry by entry as it is asked for.

    Half of them are tame, all there and of the right kind: checks look at the rest only then.
    """
    seen = Observation(step, data.draw(STATUS, label=step), seconds=1.0)
    odd = data.draw(st.booleans(), label="odd")

    def array(name: str) -> np.ndarray | None:
        if MANY.search(name) or (odd and data.draw(ONE_IN_FOUR)):
            return None
        return data.draw(arrays(*wanted(name), odd), label=name)

    seen.arrays = Drawn(array)
    seen.values = Drawn(lambda name: data.draw(values(name, odd), label=name))
    if seen.status != "ok":
        seen.error = data.draw(ERRORS)
    return seen


def sound(verdict: Verdict) -> None:
    """Assert that a verdict can be shown."""
    assert verdict.passed in (True, False, None)
    assert isinstance(verdict.message, str)
    assert len(verdict.message) <= MOST
    assert len(verdict.hint) <= MOST
    if verdict.passed is False:
        assert verdict.message
        assert verdict.hint


def judge_observations(data: st.DataObject, missing: set[str]) -> None:
    """The checks of the four classes."""
    steps = checks.steps(has_regularization=True)
    seen = {step.id: observation(step.id, data) for step in steps}
    verdicts = checks.judge(seen, tuple(missing))
    assert tuple(verdict.id for verdict in verdicts) == checks.ids()
    for verdict in verdicts:
        sound(verdict)


@functools.cache
def numbers() -> tuple[Corpus, Fixtures, referee.Referee, rubric.Rubric]:
    """Return the embedded corpus, a few of its fixtures, the referee and the points."""
    text, judge = corpus.load("numbers"), referee.load("numbers")
    drawn = fixtures.draw(text, "valid", "fuzz", judge)
    rows = {len(drawn.prediction): PREDICTIONS, len(drawn.generation): GENERATIONS}
    whole = {f.name: getattr(drawn, f.name) for f in fields(drawn)}
    few = {k: v[: rows[len(v)]] for k, v in whole.items() if isinstance(v, np.ndarray)}
    return text, replace(drawn, **few), judge, rubric.load("numbers")


def mark_answers(data: st.DataObject, public: bool) -> None:
    """Prediction and generation: points are within their range, figures are finite."""
    text, drawn, marker, rules = numbers()
    exam = Exam(text, replace(drawn, public=public), marker, rules)
    vars(exam)["known"] = None  # the prefixes mixed among hidden ones would be more of the same
    wanted = {
        "prediction": (((judge.CHUNK, len(text.vocab)),), SCORES),
        "generation": (((GENERATIONS, FORWARD),), ("small",)),
    }
    for name, mark in (
        ("prediction", judge.judge_prediction),
        ("generation", judge.judge_generation),
    ):
        seen = observation(name, data, lambda _, name=name: wanted[name])
        verdict, points, metrics, _ = mark(seen, exam)
        sound(verdict)
        most = getattr(rules, name).max_points
        assert 0 <= points <= most
        assert (verdict.passed is True) == (points == most)
        assert all(map(math.isfinite, metrics.values()))
        if verdict.passed is False:
            sound(hidden.veiled(verdict, seen, Path(__file__).parent))


def judge_weights(data: st.DataObject) -> None:
    """What the worker says of the tensors in the file and in the model."""
    submission = Submission("x", Path(__file__).parent, "", ())
    seen = observation("weights", data)
    tensors = st.dictionaries(st.sampled_from(("a", "b")) | TEXT, JSON, max_size=3)
    for name in ("tensors", "parameters"):
        if data.draw(st.booleans()):
            seen.values[name] = data.draw(tensors)
    sound(judge.judge_weights(submission, "numbers", seen))
