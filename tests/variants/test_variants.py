"""Right hand-ins in other styles lose nothing: no check, no point, no hundredth of an NLL."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from autograder import sandbox
from autograder.result import Check, Result
from tests.mutants import warm
from tests.variants import oracles
from tests.variants.variation import NLLS, PARTS, Variants, Worth, imported, load, lost

VARIANTS = load()


@pytest.fixture(scope="module")
def variants(tmp_path_factory) -> Variants:
    return Variants(tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="module")
def boxes() -> dict[bool, sandbox.Chosen]:
    """By `sandboxed`: forks of a warm process save the time of importing torch for the others."""
    return {True: sandbox.choose(), False: warm.box()}


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_a_right_variant_loses_nothing(variant, variants, boxes, tmp_path):
    worth = variants.worth(variant.weights, variant.beam)
    assert worth.nlls[0] < 1.5  # trained: guessing by frequency gives 2.75
    result = variants.graded(variant, tmp_path, boxes[variant.sandboxed])
    assert lost(variant, result, worth) == []


@pytest.mark.parametrize("weights", oracles.MODELS)
def test_an_oracle_computes_what_the_trained_model_does(weights, variants):
    # By itself, so that a fault of an oracle is not looked for in the grader. The model is run in
    # double precision; only the Transformer's sinusoids stay as rough as float32 made them.
    variant = next(v for v in VARIANTS if v.weights == weights and v.epochs)
    model = variants.model(weights)
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    ids = np.random.default_rng(0).integers(0, 30, size=(6, 20))
    inputs = torch.from_numpy(ids)
    time_first = variant.inference == "course"
    try:
        with torch.no_grad():
            scores = model.double().eval()(inputs.t() if time_first else inputs)
    finally:
        model.float()
    scores = scores[0] if isinstance(scores, tuple) else scores
    last = (scores[-1] if time_first else scores[:, -1])[:, :30].numpy()
    np.testing.assert_allclose(oracles.MODELS[weights](state, ids), last, rtol=0, atol=1e-5)


def test_there_are_enough_variants_and_no_idle_part():
    assert len(VARIANTS) >= 22
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    trained = [variant.weights for variant in VARIANTS if variant.epochs]
    assert sorted(trained) == sorted(oracles.MODELS)
    for module in ("data_loader", "language_model", "trainer", "inference"):
        parts = {path.stem for path in (PARTS / module).glob("*.py")}
        assert parts == {getattr(variant, module) for variant in VARIANTS}
    own = {path.relative_to(PARTS / "own").as_posix() for path in (PARTS / "own").rglob("*.*")}
    assert {path for path in own if "__pycache__" not in path} == {
        name for variant in VARIANTS for name in variant.own
    }


WORTH = Worth((0.7, 2.0), (45.0, 10.0))


def result(prediction=45.0, generation=10.0, nlls=(0.7, 2.0), **passed) -> Result:
    checks = [Check(name.replace("_", ".", 1), "", state) for name, state in passed.items()]
    checks += [
        Check("prediction", "", False, score=prediction, max_score=50),
        Check("generation", "", False, score=generation, max_score=50),
    ]
    metrics = dict(zip(NLLS, nlls, strict=True))
    return Result("", "", "numbers", "", "", False, tuple(checks), metrics)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (result(inference_rows=False), "inference.rows"),
        (result(inference_rows=None), "inference.rows"),
        (result(nlls=(0.701, 2.0)), "prediction: NLL 0.701, where 0.7000 is due"),
        (result(nlls=(0.699, 2.0)), "prediction: NLL 0.699, where 0.7000 is due"),
        (result(nlls=(0.7, None)), "generation: NLL None"),
        (result(prediction=44.9), "prediction: 44.9, where 45.0 is due"),
        (result(generation=0.0), "generation: 0.0, where 10.0 is due"),
    ],
)
def test_each_loss_is_told(seen, words):
    (told,) = lost(VARIANTS[0], seen, WORTH)
    assert told.startswith(words)


def test_what_is_optional_or_rounded_is_no_loss():
    fine = result(trainer_test=None, regularization_window_length=None, inference_rows=True)
    assert lost(VARIANTS[0], fine, WORTH) == []
    assert lost(VARIANTS[0], result(nlls=(0.70006, 1.99995)), WORTH) == []


def test_a_hand_ins_modules_leave_nothing_behind(tmp_path):
    code = {"trainer": "import inner.deep\n", "inner/__init__": "", "inner/deep": ""}
    for name, text in code.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    own = sys.modules["trainer"] = object()
    path, before = list(sys.path), set(sys.modules)
    try:
        with imported(tmp_path) as module:
            assert module("trainer").inner.deep.__file__ == str(tmp_path / "inner" / "deep.py")
        assert sys.modules["trainer"] is own
        assert (sys.path, set(sys.modules)) == (path, before)
    finally:
        del sys.modules["trainer"]
