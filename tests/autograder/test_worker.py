"""worker.py: what a submission returns becomes plain numbers, what it raises becomes words."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from autograder import worker
from autograder.worker import HandedIn, Unusable, as_array, describe

SCORES = torch.tensor([[1.5, -2.0], [0.25, 3.0]])


@pytest.mark.parametrize(
    "value",
    [
        SCORES,
        SCORES.numpy(),
        SCORES.double(),
        SCORES.half(),
        SCORES.bfloat16(),
        SCORES.clone().requires_grad_(),
        SCORES.t().contiguous().t(),
        SCORES.tolist(),
        tuple(map(tuple, SCORES.tolist())),
        list(SCORES),
        list(SCORES.numpy()),
        (SCORES, "hidden"),
        (SCORES, (SCORES, SCORES)),
        (SCORES.numpy(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_in_any_form_become_float32_in_c_order(value):
    array = as_array(value)
    assert array.dtype.str == "<f4"
    assert array.flags.c_contiguous
    assert array.tolist() == SCORES.tolist()


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([[1, 2], [3, 4]]),
        torch.tensor([[1, 2], [3, 4]], dtype=torch.int32),
        np.array([[1, 2], [3, 4]], dtype=np.uint16),
        np.array([[1, 2], [3, 4]], dtype=">i4"),
        [[1, 2], [3, 4]],
        [torch.tensor([1, 2]), torch.tensor([3, 4])],
        [[np.int64(1), 2], [3, 4]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_ids_in_any_form_become_int64(value):
    array = as_array(value)
    assert array.dtype.str == "<i8"
    assert array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "one two",
        ["one", "two"],
        [[1, 2], [3]],
        [[1, 2], [3, None]],
        [torch.zeros(2), torch.zeros(3)],
        {"scores": 1},
        lambda: 1,
        np.array([1, 2j]),
        np.array([object()]),
        np.array(["2020-01-01"], dtype="M8[D]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_array_of_numbers_is_named(value):
    with pytest.raises(Unusable):
        as_array(value)


def failing(path, source: str) -> BaseException:
    try:
        exec(compile(source, str(path), "exec"), {})
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it was meant to fail")


def test_an_exception_is_described_by_the_submissions_own_last_line(tmp_path):
    source = "import json\n\ndef load():\n    return json.loads('{')\n\nload()\n"
    (tmp_path / "trainer.py").write_text(source)
    seen = describe(failing(tmp_path / "trainer.py", source), tmp_path)
    assert seen["type"] == "JSONDecodeError"
    assert seen["where"] == "trainer.py:4: return json.loads('{')"


def test_a_syntax_error_is_described_by_its_line(tmp_path):
    seen = describe(failing(tmp_path / "trainer.py", "x = 1\nclass :\n"), tmp_path)
    assert seen["type"] == "SyntaxError"
    assert seen["where"] == "trainer.py:2: class :"


def test_a_long_message_is_cut(tmp_path):
    seen = describe(ValueError("x" * 10**6), tmp_path)
    assert len(seen["message"]) == 2000
    assert seen["where"] == ""


def test_modules_of_the_assignment_come_from_the_hand_in_and_no_others(tmp_path):
    for name in ("trainer", "config", "json", "torch", "numpy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit\n")
    find = HandedIn(tmp_path).find_spec
    assert find("trainer").origin == str(tmp_path / "trainer.py")
    assert find("config").origin == str(tmp_path / "config.py")
    assert [find(n) for n in ("json", "torch", "numpy", "sitecustomize", "inference")] == [None] * 5


def test_importing_the_worker_does_nothing():
    assert not any(isinstance(finder, HandedIn) for finder in sys.meta_path)
    assert set(worker.STEPS) >= {"import", "loader", "weights", "prediction", "generation"}
