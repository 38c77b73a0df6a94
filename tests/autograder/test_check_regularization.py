"""checks/regularization.py and checks/language_model.py: right outputs pass, mistakes are named."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.checks import language_model, made_up, regularization
from autograder.run import Observation

X = made_up.activations()
IDS = made_up.prompts()
EMBEDDED = made_up.embedding()[IDS]
AR = 2 * np.square(X.astype(np.float64)).mean()
TAR = 2 * np.square(np.diff(X.astype(np.float64), axis=1)).mean()


def judged(name: str, **arrays) -> tuple:
    """Judge one function by what it returned; `(passed, message, hint)`."""
    seen = {f"regularization.{n}": left_alone(n) for n in regularization.NAMES}
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    seen[f"regularization.{name}"] = Observation(f"regularization.{name}", "ok", arrays)
    verdicts = {v.id: v for v in regularization.judge(seen)}
    assert [v.passed for v in verdicts.values()].count(None) == len(regularization.NAMES) - 1
    verdict = verdicts[f"regularization.{name}"]
    return verdict.passed, verdict.message, verdict.hint


def left_alone(name: str, kind: str = "NotImplementedError") -> Observation:
    return Observation(f"regularization.{name}", "error", error={"type": kind, "message": "see"})


def masked(shape: tuple[int, ...], x: np.ndarray = X, scale: float = 2.0, p: float = 0.5):
    mask = np.random.default_rng(3).random(shape) >= p
    return (x * mask * scale).astype(np.float32)


def lengths(rng_seed: int = 0, halved: float = 0.05, deviation: float = 5.0, base: float = 70):
    rng = np.random.default_rng(rng_seed)
    about = np.where(rng.random(2000) < halved, base / 2, base)
    return np.maximum(5, rng.normal(about, deviation)).astype(np.int64)


SHORT = np.ones(200, dtype=np.int64) * 5
WORDS = (np.random.default_rng(4).random(made_up.vocabulary()) >= 0.5)[IDS][..., None]
RIGHT = {
    "locked_dropout": {"train": masked((6, 1, 40)), "eval": X},
    "embedding_dropout": {"train": (EMBEDDED * WORDS * 2).astype("<f4"), "eval": EMBEDDED},
    "activation_regularization": {"value": np.float32(AR)},
    "temporal_activation_regularization": {"value": [np.float32(TAR)]},
    "window_length": {"lengths": lengths(), "short": SHORT},
}


@pytest.mark.parametrize("name", regularization.NAMES)
def test_right_functions_pass(name):
    assert judged(name, **RIGHT[name])[0] is True


def test_every_seed_of_a_right_window_length_passes():
    found = [judged("window_length", lengths=lengths(seed), short=SHORT) for seed in range(50)]
    assert {row[0] for row in found} == {True}


@pytest.mark.parametrize("name", regularization.NAMES)
@pytest.mark.parametrize("kind", ["NotImplementedError", "AttributeError"])
def test_functions_left_alone_cost_nothing(name, kind):
    seen = {f"regularization.{n}": left_alone(n, kind) for n in regularization.NAMES}
    verdicts = regularization.judge(seen)
    assert {v.passed for v in verdicts} == {None}
    assert {v.message for v in verdicts} == {"left alone, which costs nothing"}


LOCKED, WORD = "locked_dropout", "embedding_dropout"
MISTAKES = {
    "a mask that changes in time": (
        LOCKED,
        {"train": masked(X.shape), "eval": X},
        "changes from time step to time step",
        "[batch, 1, features]",
    ),
    "a mask for all rows": (
        LOCKED,
        {"train": masked((1, 1, 40)), "eval": X},
        "the same for every row",
        "one a row",
    ),
    "values that are not scaled": (
        LOCKED,
        {"train": masked((6, 1, 40), scale=1.0), "eval": X},
        "multiplied by 1, where 1 / (1 - p) = 2",
        "divide the mask by 1 - p",
    ),
    "nothing dropped": (LOCKED, {"train": X, "eval": X}, "nothing is dropped", "bernoulli_"),
    "all dropped": (LOCKED, {"train": X * 0, "eval": X}, "everything is dropped", "bernoulli_"),
    "dropout in evaluation": (
        LOCKED,
        {"train": masked((6, 1, 40)), "eval": masked((6, 1, 40))},
        "with training=False the values change",
        "unless training",
    ),
    "another shape": (
        LOCKED,
        {"train": X[:, :1], "eval": X},
        "shape (6, 1, 40), where (6, 11, 40)",
        "x times the mask",
    ),
    "nothing": (LOCKED, {}, "returned nothing", "x times the mask"),
    "single features of a word": (
        WORD,
        {"train": masked(EMBEDDED.shape, EMBEDDED), "eval": EMBEDDED},
        "single features of a word",
        "[vocabulary, 1]",
    ),
    "no word": (WORD, {"train": EMBEDDED, "eval": EMBEDDED}, "no word is dropped", "bernoulli_"),
    "words that are not scaled": (
        WORD,
        {"train": (EMBEDDED * WORDS).astype("<f4"), "eval": EMBEDDED},
        "1 / (1 - p) = 2",
        "divide the mask",
    ),
    "the mean of |h|": (
        "activation_regularization",
        {"value": 2 * np.abs(X).mean()},
        "where alpha",
        "square it",
    ),
    "a sum": ("activation_regularization", {"value": AR * X.size}, "where alpha", "take the mean"),
    "no alpha": (
        "activation_regularization",
        {"value": AR / 2},
        "where alpha",
        "alpha is left out",
    ),
    "another number": (
        "activation_regularization",
        {"value": 1.0},
        "returned 1.0000",
        "compute alpha",
    ),
    "two numbers": (
        "activation_regularization",
        {"value": [AR, AR]},
        "one number",
        "a scalar tensor",
    ),
    "NaN": ("activation_regularization", {"value": np.nan}, "returned nan", "compute alpha"),
    "rows in place of time": (
        "temporal_activation_regularization",
        {"value": 2 * np.square(np.diff(X.astype(np.float64), axis=0)).mean()},
        "where beta",
        "time is axis 1",
    ),
    "no beta": (
        "temporal_activation_regularization",
        {"value": TAR / 2},
        "where beta",
        "beta is left",
    ),
    "a window of zero": (
        "window_length",
        {"lengths": lengths(), "short": SHORT * 0},
        "a window of length 0",
        "at least 1",
    ),
    "another base": (
        "window_length",
        {"lengths": lengths(base=35), "short": SHORT},
        "the median length is 3",
        "about bptt",
    ),
    "a fixed length": (
        "window_length",
        {"lengths": np.full(2000, 70), "short": SHORT},
        "only 1 different lengths",
        "standard deviation 5",
    ),
    "never halved": (
        "window_length",
        {"lengths": lengths(halved=0.0), "short": SHORT},
        "0.0% of windows",
        "probability 0.95",
    ),
    "halved too often": (
        "window_length",
        {"lengths": lengths(halved=0.13), "short": SHORT},
        "of windows are about half as long",
        "probability 0.95",
    ),
}


@pytest.mark.parametrize(("name", "arrays", "message", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(name, arrays, message, hint):
    passed, said, advice = judged(name, **arrays)
    assert passed is False
    assert message in said
    assert hint in advice


def test_a_word_dropped_in_one_place_and_kept_in_another_is_named(monkeypatch):
    repeated = IDS.copy()
    repeated[:, 1] = repeated[:, 0]
    monkeypatch.setattr(made_up, "prompts", lambda: repeated)
    x = made_up.embedding()[repeated]
    mask = np.ones(repeated.shape, dtype=bool)
    mask[:, 0] = False
    out = (x * mask[..., None] * 2).astype("<f4")
    passed, message, hint = judged(WORD, train=out, eval=x)
    assert passed is False
    assert "dropped in one place and kept in another" in message
    assert "over the vocabulary" in hint


# The model.


def model(scores=None, **values) -> dict[str, tuple]:
    values = {"is_module": True, "parameters": 1000, **values}
    arrays = {} if scores is None else {"scores": scores}
    seen = {
        "language_model.import": Observation("language_model.import", "ok"),
        "language_model.build": Observation("language_model.build", "ok", values=values),
        "language_model.forward": Observation("language_model.forward", "ok", arrays),
    }
    found = language_model.judge(seen, ())
    return {v.id.partition(".")[2]: (v.passed, v.message, v.hint) for v in found}


B, T, V = *IDS.shape, made_up.vocabulary()


@pytest.mark.parametrize("shape", [(B, T, V), (T, B, V), (B, V, T), (B * T, V), (B, V), (V, B)])
def test_scores_in_any_order_of_axes_pass(shape):
    assert {row[0] for row in model(np.zeros(shape, "<f4")).values()} == {True}


def test_a_vocabulary_rounded_up_passes():
    rounded = -(-V // 64) * 64
    assert rounded > V
    assert model(np.zeros((B, T, rounded), "<f4"))["scores"][0] is True


@pytest.mark.parametrize(
    ("scores", "message", "hint"),
    [
        (np.zeros((B, T, 33278), "<f4"), "no axis of which is the vocabulary", "33,278"),
        (np.zeros((B, T, V - 1), "<f4"), "no axis of which is the vocabulary", "vocab_size scores"),
        (np.zeros((B, T, V + 128), "<f4"), "no axis of which is the vocabulary", "vocab_size"),
        (np.zeros((), "<f4"), "no axis of which", "vocab_size scores"),
        (np.full((B, T, V), np.nan, "<f4"), "are not finite", "initialised"),
        (np.zeros((B, T + 1, V), "<f4"), "for inputs (5, 12)", "every time step"),
    ],
)
def test_scores_of_another_shape_are_named(scores, message, hint):
    passed, said, advice = model(scores)["scores"]
    assert passed is False
    assert message in said
    assert hint in advice


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"is_module": False}, "is not a torch.nn.Module", "super().__init__()"),
        ({"parameters": 0}, "no parameters", "nn.ModuleList"),
        ({"parameters": "many"}, "no parameters", "nn.ModuleList"),
        ({"parameters": None}, "no parameters", "nn.ModuleList"),
    ],
)
def test_what_is_no_model_is_named(values, message, hint):
    passed, said, advice = model(np.zeros((B, T, V), "<f4"), **values)["builds"]
    assert passed is False
    assert message in said
    assert hint in advice
