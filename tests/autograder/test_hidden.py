"""hidden.py: of a run on hidden inputs nothing is told that the submission could have chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.checks.verdict import Verdict
from autograder.hidden import NOT_SHOWN, place, veiled
from autograder.run import Observation

LEAK = "1420 13859 3714"  # as a submission would write the ids that it was shown


@pytest.fixture
def copy(tmp_path) -> Path:
    (tmp_path / "inference.py").write_text("import torch\n\nraise ValueError(ids)\n")
    return tmp_path


def told(copy: Path, status: str, **error: str) -> Verdict:
    failed = Verdict("prediction", "Prediction", False, f"message {LEAK}", f"hint {LEAK}", 1.25)
    return veiled(failed, Observation("prediction", status, error=error), copy)


def test_an_exception_is_told_by_its_type_and_the_line_of_the_students_own_file(copy):
    where = f"inference.py:3: {LEAK}"
    verdict = told(copy, "error", type="ValueError", message=LEAK, where=where)
    assert verdict.message == f"ValueError at inference.py:3: raise ValueError(ids); {NOT_SHOWN}"
    assert LEAK not in verdict.message + verdict.hint
    assert verdict.seconds == 0


@pytest.mark.parametrize("status", ["error", "crash", "garbage", "ok"])
@pytest.mark.parametrize("kind", ["E1420_13859", "NotImplementedError", "KeyError", ""])
@pytest.mark.parametrize("where", [f"{LEAK}.py:1: x", "../a.py:1: x", "inference.py:99: x", LEAK])
def test_nothing_that_was_chosen_is_told_whatever_happened(copy, status, kind, where):
    (copy.parent / "a.py").write_text("x")
    verdict = told(copy, status, type=kind, message=f"{LEAK}: see {LEAK}", where=where)
    assert "1420" not in verdict.message + verdict.hint
    assert "where" not in verdict.message
    assert NOT_SHOWN in verdict.message
    assert verdict.hint


def test_a_time_out_is_told_in_the_graders_own_words(copy):
    assert told(copy, "timeout").message.startswith("message")


def test_a_line_is_read_from_the_copy_and_not_from_what_was_said(copy):
    assert place("inference.py:1: secret", copy) == " at inference.py:1: import torch"
    for where in ("inference.py:0: x", "inference.py:4: x", "x.py:1: x", "", f"{__file__}:1: x"):
        assert place(where, copy) == ""
