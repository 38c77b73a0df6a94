"""checks/inference.py: right predictions and generations pass, and each mistake is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autograder.checks import inference, made_up
from autograder.checks.inference import checked_scores, checked_words
from autograder.checks.verdict import Problem
from autograder.run import Observation

PROMPTS, V = made_up.prompts(), made_up.vocabulary()
ROWS, FORWARD = len(PROMPTS), made_up.FORWARD
Predict = Callable[[np.ndarray], np.ndarray]

# A model that depends on every word and on its place: a fixed random feature of each (word, place
# from the end), summed, times a random output matrix.
_RNG = np.random.default_rng(0)
_TABLE = _RNG.normal(size=(V, 16))
_DECAY = 0.7
_OUT = _RNG.normal(size=(16, V))


def model(inp: np.ndarray) -> np.ndarray:
    weights = _DECAY ** np.arange(inp.shape[1])[::-1]
    return ((_TABLE[inp] * weights[:, None]).sum(axis=1) @ _OUT).astype(np.float32)


def greedy(inp: np.ndarray, predict: Predict = model) -> np.ndarray:
    for _ in range(FORWARD):
        inp = np.concatenate([inp, predict(inp).argmax(axis=1)[:, None]], axis=1)
    return inp[:, -FORWARD:]


def predicted(predict: Predict = model, **replaced: np.ndarray) -> Observation:
    """What worker.step_prediction_checks reports of a prediction."""
    other, last = PROMPTS.copy(), PROMPTS.copy()
    other[:, :-1] = (other[:, :-1] + 1) % V
    last[:, -1] = (last[:, -1] + 1) % V
    arrays = {
        "scores": predict(PROMPTS),
        "again": predict(PROMPTS),
        "reversed_rows": predict(PROMPTS[::-1]),
        "one_row": predict(PROMPTS[:1]),
        "other_context": predict(other),
        "other_last": predict(last),
    }
    return Observation("inference.prediction", "ok", {**arrays, **replaced})


def generated(
    words: np.ndarray, predict: Predict = model, again: np.ndarray | None = None
) -> Observation:
    """What worker.step_generation_checks reports of generated words."""
    seen = Observation("inference.generation", "ok", {"words": words})
    seen.arrays["again"] = words if again is None else again
    path = PROMPTS
    if words.shape == (ROWS, FORWARD):
        for t in range(FORWARD):
            along = np.concatenate([PROMPTS, words[:, :t].astype(np.int64)], axis=1)
            seen.arrays[f"along{t}"] = predict(along)
            seen.arrays[f"greedy{t}"] = predict(path)
            path = np.concatenate([path, predict(path).argmax(axis=1)[:, None]], axis=1)
    return seen


def judged(prediction=None, generation=None) -> dict[str, tuple]:
    seen = {
        "inference.import": Observation("inference.import", "ok"),
        "inference.prediction": prediction or predicted(),
        "inference.generation": generation or generated(greedy(PROMPTS)),
    }
    verdicts = inference.judge(seen, ())
    return {v.id.partition(".")[2]: (v.passed, v.message, v.hint) for v in verdicts}


def failed(found: dict[str, tuple]) -> set[str]:
    return {name for name, row in found.items() if row[0] is not True}


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def test_a_right_prediction_and_greedy_generation_pass_every_check():
    found = judged()
    assert failed(found) == set()
    assert len(found) == 8


RIGHT = {
    "log-probabilities": predicted(lambda inp: log_softmax(model(inp))),
    "half precision": predicted(lambda inp: model(inp).astype(np.float16).astype(np.float32)),
    "one row without its axis": predicted(one_row=model(PROMPTS[:1])[0]),
    "rounding that differs from call to call": predicted(again=model(PROMPTS) * np.float32(1.0001)),
    "scores that are all positive": predicted(lambda inp: model(inp) + 1000),
}


@pytest.mark.parametrize("seen", RIGHT.values(), ids=RIGHT)
def test_other_right_predictions_pass_too(seen):
    assert failed(judged(seen)) == set()


def untrained(inp: np.ndarray) -> np.ndarray:
    """Log-probabilities that are mostly the same for all prompts, as an untrained model's are."""
    constant = np.linspace(-8, 0, V)
    return log_softmax(constant + 1e-3 * model(inp)).astype(np.float32)


def bfloat16(scores: np.ndarray) -> np.ndarray:
    return (scores.view(np.uint32) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize("rounded", [np.float32, np.float16, bfloat16])
def test_an_untrained_models_rounding_is_no_mistake(rounded):
    def predict(inp: np.ndarray) -> np.ndarray:
        return np.asarray(rounded(untrained(inp)), dtype=np.float32)

    last_bit = predict(PROMPTS) * np.float32(1 + 2.0**-22 if rounded is np.float32 else 1)
    assert failed(judged(predicted(predict, again=last_bit))) == set()


def test_a_mistake_shows_in_an_untrained_models_scores_too():
    mixed_up = predicted(lambda inp: untrained(inp.T.reshape(inp.shape)))
    assert failed(judged(mixed_up)) == {"rows"}
    other = generated(greedy(PROMPTS, lambda inp: untrained(inp[:, -1:])), untrained)
    assert failed(judged(generation=other)) == {"greedy"}


def noisy(inp: np.ndarray) -> np.ndarray:
    return model(inp) * _RNG.integers(0, 2, size=(len(inp), V)).astype(np.float32)


def mixed(inp: np.ndarray) -> np.ndarray:
    """Rows and time steps mixed up, as by a wrong batch_first."""
    return model(inp.T.reshape(inp.shape))


def normed(inp: np.ndarray) -> np.ndarray:
    return model(inp) - model(inp).mean(axis=0)


PREDICTIONS = {
    "probabilities": (
        predicted(lambda inp: np.exp(log_softmax(model(inp)))),
        {"shape": ("sums to 1", "raw scores, or log-probabilities")},
    ),
    "dropout left on": (
        predicted(noisy),
        {
            "repeatable": ("two calls with the same input differ", "model.eval()"),
            "rows": ("reversed order", "mixed up"),
        },
    ),
    "rows and time steps mixed up": (
        predicted(mixed),
        {"rows": ("with the rows in reversed order", "use transpose, not view")},
    ),
    "batch normalisation": (
        predicted(normed),
        {"rows": ("a row predicted alone gets other scores", "batch normalisation")},
    ),
    "the scores of the first step": (
        predicted(lambda inp: model(inp[:, :1])),
        {"context": ("with another last word the scores stay the same", "last time step")},
    ),
    "the scores of the step before the last": (
        predicted(lambda inp: model(inp[:, :-1])),
        {"context": ("with another last word the scores stay the same", "out[:, -1]")},
    ),
    "the last word alone": (
        predicted(lambda inp: model(inp[:, -1:])),
        {"context": ("words before the last one", "the whole prefix")},
    ),
    "whole numbers": (
        predicted(lambda inp: (model(inp) * 100).astype(np.int64)),
        {"shape": ("whole numbers", "scores of all words")},
    ),
}


@pytest.mark.parametrize(("seen", "expected"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_a_mistake_in_prediction_fails_the_checks_that_name_it(seen, expected):
    found = judged(seen)
    assert failed(found) == set(expected)
    for name, (message, hint) in expected.items():
        assert message in found[name][1]
        assert hint in found[name][2]


def unfed(inp: np.ndarray) -> np.ndarray:
    """Each new word is fed back without the state: a model of the last word alone."""
    first = model(inp).argmax(axis=1)[:, None]
    rest = greedy(first, lambda x: model(x[:, -1:]))[:, : FORWARD - 1]
    return np.concatenate([first, rest], axis=1)


def test_words_as_whole_floats_pass():
    assert failed(judged(generation=generated(greedy(PROMPTS).astype(np.float32)))) == set()


def test_a_better_path_than_greedy_passes_and_a_worse_one_does_not():
    """Three words: 0 looks best at first but leads nowhere; 1 leads to certainty."""

    def predict(inp: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(inp), V), dtype=np.float32)
        first = inp.shape[1] == PROMPTS.shape[1]
        if first:
            scores[:, 0], scores[:, 1] = 20.0, 19.9
        else:
            scores[inp[:, PROMPTS.shape[1]] == 1, 5] = 30.0
        return scores

    better = np.full((ROWS, FORWARD), 5)
    better[:, 0] = 1
    found = judged(generation=generated(better, predict))
    assert failed(found) == set()
    assert "beam search" in found["greedy"][1]
    worse = better.copy()
    worse[:, 1:] = 7
    assert failed(judged(generation=generated(worse, predict))) == {"greedy"}


GENERATIONS = {
    "sampled": (
        generated(greedy(PROMPTS), again=greedy(PROMPTS[::-1])),
        {"repeats": ("two calls with the same prompts", "does not sample")},
    ),
    "words fed back without the state": (
        generated(unfed(PROMPTS)),
        {"greedy": ("the first new word is the best one, but of the later", "the whole prefix")},
    ),
    "argmin": (
        generated(greedy(PROMPTS, lambda inp: -model(inp))),
        {"greedy": ("lowest score", "argmax, not argmin")},
    ),
    "another step's best word": (
        generated(greedy(PROMPTS[:, :-1])),
        {"greedy": ("are those that prediction scores best", "read the whole prompt")},
    ),
    "scores in place of words": (
        generated(np.zeros((ROWS, FORWARD, V), dtype=np.float32)),
        dict.fromkeys(("words", "repeats", "greedy"), ("(5, 6, 1182)", "these look like scores")),
    ),
}


@pytest.mark.parametrize(("seen", "expected"), GENERATIONS.values(), ids=GENERATIONS)
def test_a_mistake_in_generation_fails_the_checks_that_name_it(seen, expected):
    found = judged(generation=seen)
    assert failed(found) == set(expected)
    for name, (message, hint) in expected.items():
        assert message in found[name][1]
        assert hint in found[name][2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_greedy_is_not_judged_by_scores_that_are_not_finite(bad):
    seen = generated(greedy(PROMPTS))
    seen.arrays["along3"] = np.full((ROWS, V), bad, dtype=np.float32)
    found = judged(generation=seen)
    assert found["greedy"][0] is None
    assert "no scores to compare with" in found["greedy"][1]


@pytest.mark.parametrize("gone", ["along0", "greedy5", "again"])
def test_what_was_not_reported_is_not_judged(gone):
    seen = generated(greedy(PROMPTS))
    del seen.arrays[gone]
    assert failed(judged(generation=seen)) == {"repeats" if gone == "again" else "greedy"}


def message_of(call: Callable, *arguments) -> tuple[str, str]:
    with pytest.raises(Problem) as error:
        call(*arguments)
    return str(error.value), error.value.hint


F4 = np.float32


@pytest.mark.parametrize(
    ("scores", "message", "hint"),
    [
        (None, "returned nothing", "scores of the next word"),
        (np.zeros((64, 20, 30), F4), "shape (64, 20, 30), where (64, 30)", "out[:, -1]"),
        (np.zeros((30, 64), F4), "shape (30, 64)", "not its transpose"),
        (np.zeros((64, 31), F4), "shape (64, 31)", "the vocabulary has 30 words"),
        (np.zeros((63, 30), F4), "shape (63, 30)", "one row of scores a prompt"),
        (np.zeros(64, F4), "shape (64,)", "one row of scores a prompt"),
        (np.zeros((), F4), "shape ()", "one row of scores a prompt"),
        (np.full((64, 30), np.nan, F4), "64 of 64 rows of scores hold NaN", "diverged"),
        (np.diag(np.full(30, -np.inf, F4)), "30 of 30 rows", "log_softmax"),
    ],
)
def test_scores_that_cannot_be_graded_are_named(scores, message, hint):
    rows = 30 if scores is not None and scores.shape == (30, 30) else 64
    with np.errstate(invalid="ignore"):
        said = message_of(checked_scores, scores, rows, 30)
    assert message in said[0]
    assert hint in said[1]


I8 = np.int64


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (None, "returned nothing", "ids of the new words"),
        (np.zeros((128, 30), I8), "shape (128, 30), where (128, 10)", "leave the prompt out"),
        (np.zeros((128, 9), I8), "shape (128, 9)", "10 words were asked for"),
        (np.zeros((10, 128), I8), "shape (10, 128)", "swapped"),
        (np.zeros((128, 10, 30), F4), "shape (128, 10, 30)", "scores.argmax(dim=-1)"),
        (np.zeros(128, I8), "shape (128,)", "one row a prompt"),
        (np.full((128, 10), 0.5, F4), "not whole", "word ids"),
        (np.full((128, 10), np.nan, F4), "not whole", "word ids"),
        (np.full((128, 10), np.inf, F4), "not whole", "word ids"),
        (np.full((128, 10), 3e38, F4), "not whole", "word ids"),
        (np.full((128, 10), 30, I8), "from 30 to 30, where 0 to 29 exist", "axis of words"),
        (np.full((128, 10), -1, I8), "from -1 to -1", "axis of words"),
        (np.full((128, 10), 2**62, I8), "where 0 to 29 exist", "axis of words"),
    ],
)
def test_words_that_cannot_be_graded_are_named(words, message, hint):
    said = message_of(checked_words, words, 128, 10, 30)
    assert message in said[0]
    assert hint in said[1]


def test_whole_floats_are_words():
    words = checked_words(np.full((128, 10), 29, F4), 128, 10, 30)
    assert words.dtype == I8
    assert (words == 29).all()


HOSTILE = [
    np.zeros(()),
    np.zeros((0, 0), F4),
    np.zeros((ROWS, V), F4),
    np.zeros((ROWS, V), I8),
    np.full((ROWS, V), 3e38, F4),
    np.full((ROWS, V), -(2**63), I8),
    np.full((ROWS, V), np.nan, F4),
    np.full((ROWS, V), np.inf, F4),
    np.ones((ROWS, FORWARD), F4),
]


@pytest.mark.parametrize("array", HOSTILE, ids=lambda a: f"{a.shape} {a.dtype} {a.ravel()[:1]}")
def test_no_arrays_at_all_make_a_check_raise(array):
    for name in predicted().arrays:
        assert len(judged(predicted(**{name: array}))) == 8
    good = generated(greedy(PROMPTS))
    for name in good.arrays:
        seen = Observation(good.step, "ok", {**good.arrays, name: array})
        assert len(judged(generation=seen)) == 8
