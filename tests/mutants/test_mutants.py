"""Each bug of mutants.toml is seen by the grader, and named first by the check that ought to."""

from __future__ import annotations

import pytest
from mutation import Grader, Mutant, checked, copy, edit, failed, judge, load, named_right, seed

from autograder.checks.verdict import Verdict

MUTANTS = load()
ROOMS = ("data_loader", "language_model", "trainer", "inference", "regularization")


@pytest.fixture(scope="module")
def grader(tmp_path_factory) -> Grader:
    return Grader(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def unmutated(grader, tmp_path_factory) -> list:
    """What grading the solution itself gives."""
    folder = tmp_path_factory.mktemp("unmutated")
    copy(folder / "hand-in", small=False)
    return list(grader(folder / "hand-in", folder / "log"))


def test_the_solution_fails_no_check_and_runs_all(unmutated):
    assert {check.id: check.message for check in unmutated if not check.passed} == {}


def test_the_small_solution_fails_no_check_either(tmp_path):
    copy(tmp_path / "hand-in", small=True)
    found = checked(tmp_path / "hand-in", ("trainer",), tmp_path / "log")
    assert failed(found) == []
    assert {v.id for v in found if v.passed} == {
        f"trainer.{name}"
        for name in ("import", "loss", "learns", "updates", "mode", "epoch", "test", "save")
    }


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_bug_is_seen_and_named_right(mutant, grader, tmp_path):
    found = judge(mutant, tmp_path, grader)
    seen = [(check.id, check.message, check.hint) for check in failed(found)]
    assert seen, "no check saw it"
    assert named_right(mutant, found), seen


def test_there_are_enough_mutants_each_with_a_name_and_a_check_of_its_own(unmutated):
    assert len(MUTANTS) >= 35
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.check for mutant in MUTANTS} <= {check.id for check in unmutated}
    assert {mutant.check.partition(".")[0] for mutant in MUTANTS} >= set(ROOMS)
    for mutant in MUTANTS:
        assert bool(mutant.append) != bool(mutant.old), mutant.name


@pytest.mark.parametrize(("old", "new"), [("c", "d"), ("a", "b"), ("b", "b"), ("", "x")])
def test_a_snippet_that_is_not_there_once_or_would_stay_fails_loudly(old, new, tmp_path):
    path = tmp_path / "module.py"
    path.write_text("a = b = a\n")
    with pytest.raises(ValueError, match="module"):
        edit(path, old, new)
    assert path.read_text() == "a = b = a\n"


def test_an_edit_that_python_cannot_read_fails_loudly(tmp_path):
    (tmp_path / "module.py").write_text("a = 1\n")
    with pytest.raises(SyntaxError):
        seed(Mutant("a slip", "module.py", "x", old="1", new="("), tmp_path)


def test_an_unknown_key_is_an_error(tmp_path):
    (tmp_path / "mutants.toml").write_text("[[mutant]]\nname = 'a'\nfiel = 'b'\n")
    with pytest.raises(TypeError, match="fiel"):
        load(tmp_path / "mutants.toml")


def test_named_right_means_first_and_in_the_right_words():
    mutant = Mutant("a bug", "trainer.py", "trainer.loss", says="the mean")
    other, own = Verdict("trainer.save", "", False), Verdict("trainer.loss", "", False, "the mean")
    assert named_right(mutant, [Verdict("trainer.test", "", True), own, other])
    assert not named_right(mutant, [other, own])
    assert not named_right(mutant, [Verdict("trainer.loss", "", False, "a sum")])
    assert not named_right(mutant, [Verdict("trainer.loss", "", True, "the mean")])
