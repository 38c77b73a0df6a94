"""Checks of what no submission sends by mistake: each once ended judging in an exception."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import autograder
from autograder import checks
from autograder.checks import data_loader, made_up
from autograder.checks.verdict import MOST, Verdict, failure, told
from autograder.run import Observation

GRADER = Path(autograder.__file__).parent
# Names under which a file could be unpickled, and calls that make others do it.
UNPICKLE = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def judged(step: str, arrays: dict | None = None, values: dict | None = None) -> dict[str, Verdict]:
    """Judge a run in which one step brought back just this, and no other step ran."""
    seen = {s.id: Observation(s.id) for s in checks.steps(has_regularization=True)}
    seen[step] = Observation(step, "ok", arrays or {}, values or {})
    return {verdict.id: verdict for verdict in checks.judge(seen, ())}


@pytest.mark.parametrize("shape", [(3, 4), (12,), (1, 1, 12)])
def test_losses_of_any_shape_are_counted_along(shape):
    losses = np.ones(12, dtype="<f4")
    losses[7] = np.nan
    found = judged("trainer.batch", {"losses": losses.reshape(shape)})["trainer.loss"]
    assert "the loss is nan at step 8 of 12" in found.message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.5])
def test_a_window_length_that_is_no_whole_number_is_a_problem(bad):
    lengths = np.full(2000, 70, dtype="<f4")
    lengths[5] = bad
    arrays = {"lengths": lengths, "short": np.ones(200, dtype="<i8")}
    found = judged("regularization.window_length", arrays)["regularization.window_length"]
    assert (found.passed, found.message) == (False, "a length is no whole number")
    assert found.hint == "return an int"


def test_types_of_batches_that_are_no_text_are_shown_all_the_same():
    stream = made_up.articles()[:321]
    arrays = {}
    for epoch in (*data_loader.EPOCHS, "ordered"):
        arrays[f"{epoch}.inputs.0"] = stream[:320].reshape(8, 40)
        arrays[f"{epoch}.targets.0"] = stream[1:].reshape(8, 40)
    values = {f"{data_loader.EPOCHS[0]}.inputs.type": [{"a": 1}]}
    found = judged("data_loader.epochs", arrays, values)["data_loader.iterates"]
    assert found.passed
    assert "[{'a': 1}]" in found.message


@pytest.mark.parametrize("value", ["x" * 100_000, ["x" * 100_000] * 9, 10**4000, {"a": 1}])
@pytest.mark.parametrize(
    ("step", "name", "make"),
    [
        ("trainer.test", "nll", lambda value: value),
        ("trainer.save", "files", lambda value: [value]),
        ("trainer.batch", "unmoved", lambda value: [value]),
        ("language_model.build", "parameters", lambda value: value),
    ],
)
def test_values_of_any_kind_and_length_make_messages_that_can_be_shown(step, name, make, value):
    arrays = {"losses": np.linspace(9, 5, 30, dtype="<f4")}
    values = {name: make(value), "parameter_count": 2, "is_module": True}
    found = judged(step, arrays, values)
    assert len(found) == len(checks.ids())
    assert all(len(verdict.message) <= MOST for verdict in found.values())


def test_a_value_is_told_short():
    assert told("an embedding") == "an embedding"
    assert told("x" * 101) == "x" * 99 + "…"
    assert len(told([["x" * 999] * 999] * 999)) < 2000
    assert told(None) == "None"


def test_an_error_without_words_gets_some():
    problem = failure(Observation("trainer.batch", "error", error={"type": "", "message": ""}))
    assert str(problem) == "an exception without a name"
    assert problem.hint


def test_the_grader_itself_never_loads_weights():
    """A file of weights is read in the worker only, and there nothing is unpickled."""
    for path in GRADER.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            name.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [*node.names, ast.alias(getattr(node, "module", None) or "")]
        }
        assert not imported & UNPICKLE, path
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            keywords = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            name = ast.unparse(call.func)
            if name == "torch.load":
                assert path.name == "worker.py"
                assert keywords["weights_only"] is True
            if name in ("np.load", "numpy.load"):
                assert keywords["allow_pickle"] is False
            assert not name.endswith("load_model") or path.name == "worker.py", path
