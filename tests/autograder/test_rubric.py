"""rubric.py: what it accepts, and that each mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder import checks
from autograder.faults import Fault
from autograder.judge import judge_weights
from autograder.rubric import RubricError, load
from autograder.run import Observation
from autograder.submission import MODULES, Submission

GOOD = """
[numbers.prediction]
steps = [[0.6, 50], [2.6, 0]]
[numbers.generation]
steps = [[0.6, 40.5], [0.8, 40], [2.6, 0.0]]
max_degenerate = 0.25
[checks]
"data_loader.targets" = 5
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "rubric.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_steps_points_bound_and_checks_are_read(write):
    rubric = load("numbers", write(GOOD))
    assert rubric.prediction.steps == ((0.6, 50.0), (2.6, 0.0))
    assert rubric.prediction.max_points == 50
    assert rubric.prediction.max_degenerate == 1  # no bound unless one is given
    assert rubric.generation.max_points == 40.5
    assert rubric.generation.max_degenerate == 0.25
    assert rubric.checks == {"data_loader.targets": 5.0}


def test_the_digest_changes_with_every_change(write):
    first = load("numbers", write(GOOD)).digest
    assert load("numbers", write(GOOD)).digest == first
    assert load("numbers", write(GOOD.replace("0.25", "0.26"))).digest != first


@pytest.mark.parametrize("corpus", ["numbers", "wikitext2"])
def test_the_kits_own_rubric_is_worth_a_hundred_points(corpus):
    rubric = load(corpus)
    assert rubric.prediction.max_points + rubric.generation.max_points == 100
    assert rubric.prediction.steps[-1][1] == rubric.generation.steps[-1][1] == 0
    assert 0 < rubric.generation.max_degenerate < 1


def test_the_courses_thresholds_earn_full_points_on_wikitext2():
    rubric = load("wikitext2")
    assert rubric.prediction.steps[0] == (5.0, 50.0)
    assert rubric.generation.steps[0] == (3.0, 50.0)


STEPS = "[[0.6, 50], [2.6, 0]]"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (GOOD, "numbers = [", "cannot be read"),
        (GOOD, "numbers = 5", r"\[numbers\] needs"),
        (GOOD, "", r"\[numbers\] needs"),
        ("[numbers.prediction]", "[numbers.predictions]", r"\[numbers\] needs"),
        (f"[numbers.prediction]\nsteps = {STEPS}", "[numbers]\nprediction = 5", "not a table"),
        ("[numbers.generation]", "[numbers.style]\n[numbers.generation]", r"\[numbers\] needs"),
        ("max_degenerate", "max_degenerated", "unknown key: max_degenerated"),
        (STEPS, "[[0.6, 50]]", "two or more"),
        (STEPS, '[[0.6, 50], [2.6, "0"]]', "two or more"),
        (STEPS, "[[0.6, 50], [2.6, true]]", "two or more"),
        (STEPS, "[[0.6, 50], [2.6]]", "two or more"),
        (STEPS, "[[0.6, 50], [inf, 0]]", "two or more"),
        (STEPS, "[[0.6, nan], [2.6, 0]]", "two or more"),
        (STEPS, '"0.6, 50"', "two or more"),
        (STEPS, "[[2.6, 50], [0.6, 0]]", "NLLs have to rise"),
        (STEPS, "[[0.6, 50], [0.6, 0]]", "NLLs have to rise"),
        (STEPS, "[[0.6, 0], [2.6, 50]]", "points to fall"),
        (STEPS, "[[0.6, 50], [2.6, -1]]", "to 0 or more"),
        ("0.25", "1.5", "max_degenerate is a share"),
        ("0.25", "-0.1", "max_degenerate is a share"),
        ("0.25", '"half"', "max_degenerate is a share"),
        ("= 5", "= -5", "data_loader.targets is not a number of points: -5"),
        ("= 5", '= "5"', "not a number of points"),
        ("[checks]", "[[checks]]", r"\[checks\] is not a table"),
        ("[checks]", "[check]", "no table 'check'; the nearest name is 'checks'"),
        ("data_loader.targets", "data_loader.target", "the nearest name is 'data_loader.targets'"),
        ("data_loader.targets", "prediction", r"\[checks\] there is no check 'prediction'"),
        ("= 5", f"= {10**400}", "not a number of points"),
        (STEPS, f"[[0.6, {10**400}], [2.6, 0]]", "two or more"),
        (STEPS, "[" * 5000, "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_place(write, old, new, says):
    assert GOOD.count(old) == 1
    with pytest.raises(RubricError, match=says) as error:
        load("numbers", write(GOOD.replace(old, new)))
    assert "rubric.toml" in str(error.value)


def test_bytes_that_are_no_text_are_named(write):
    with pytest.raises(RubricError, match="cannot be read"):
        load("numbers", write(b"\xff\xfe\x00"))


def test_a_missing_file_is_the_graders_own_fault(tmp_path):
    with pytest.raises(Fault, match="cannot be read"):
        load("numbers", tmp_path / "none.toml")


def test_every_check_that_is_judged_may_have_points_and_nothing_else(write):
    """The ids are those that a grading gives: of a whole run, and of one that has no weights."""
    steps = checks.steps(has_regularization=True)
    seen = {step.id: Observation(step.id, "error") for step in steps}
    judged = [verdict.id for verdict in checks.judge(seen, MODULES)]
    submission = Submission("x", Path(), "", ())
    weights = judge_weights(submission, "numbers", Observation("weights", "crash")).id
    assert tuple(judged) == checks.ids()
    assert len(set(judged)) == len(judged) > 20
    for id in (*judged, weights):
        worth = load("numbers", write(GOOD.replace("data_loader.targets", id))).checks
        assert worth == {id: 5.0}
