"""checks/data_loader.py: every right loader passes, and each mistake gets words that mend it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from autograder.checks import data_loader, made_up
from autograder.run import Observation

B, WINDOW = made_up.BATCH_SIZE, 40
Batches = list[tuple[np.ndarray, np.ndarray]]
ARTICLES = np.split(made_up.articles(), np.cumsum(made_up.lengths())[:-1])


def joined(seed: int | None) -> np.ndarray:
    """All articles in one stream, in an order drawn with `seed`, or as they are for None."""
    order = range(len(ARTICLES))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(ARTICLES))
    return np.concatenate([ARTICLES[i] for i in order])


def rows(stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps = (len(stream) - 1) // B
    return stream[: steps * B].reshape(B, steps), stream[1 : steps * B + 1].reshape(B, steps)


def right(stream: np.ndarray, window: int = WINDOW) -> Batches:
    """The kit's own form, [batch, time]."""
    x, y = rows(stream)
    return [(x[:, i : i + window], y[:, i : i + window]) for i in range(0, x.shape[1], window)]


def judged(epochs: list[Batches], ordered: Batches | None = None, **more) -> dict[str, tuple]:
    """Judge four epochs' batches; `(passed, message, hint)` by the check's name."""
    seen = Observation("data_loader.epochs", "ok")
    ordered = right(joined(None)) if ordered is None else ordered
    for name, batches in zip((*data_loader.EPOCHS, "ordered"), [*epochs, ordered], strict=True):
        for i, (x, y) in enumerate(batches):
            seen.arrays[f"{name}.inputs.{i}"] = np.ascontiguousarray(x)
            seen.arrays[f"{name}.targets.{i}"] = np.ascontiguousarray(y)
    seen.arrays["after"] = made_up.articles()
    seen.arrays.update(more.get("arrays", {}))
    seen.values.update(more.get("values", {}))
    observations = {
        "data_loader.import": Observation("data_loader.import", "ok"),
        "data_loader.epochs": seen,
    }
    verdicts = data_loader.judge(observations, ())
    return {v.id.partition(".")[2]: (v.passed, v.message, v.hint) for v in verdicts}


def epochs(make: Callable[[np.ndarray], Batches]) -> list[Batches]:
    return [make(joined(seed)) for seed in (1, 2, 3)]


def variable(stream: np.ndarray) -> Batches:
    """Windows of varying length."""
    x, y = rows(stream)
    edges = np.cumsum([0, *np.random.default_rng(5).integers(20, 50, size=30)])
    return [(x[:, a:b], y[:, a:b]) for a, b in pairwise(edges) if a < x.shape[1]]


def window_as_batch(stream: np.ndarray) -> Batches:
    """Rows that follow one another, `batch_size` a batch, the last batch with fewer rows."""
    count = (len(stream) - 1) // 30
    x = stream[: count * 30].reshape(count, 30)
    y = stream[1 : count * 30 + 1].reshape(count, 30)
    return [(x[i : i + B], y[i : i + B]) for i in range(0, count, B)]


def own_rows(stream: np.ndarray) -> Batches:
    """Each row is shifted by itself, so that every row loses a word."""
    steps = len(stream) // B
    lines = stream[: steps * B].reshape(B, steps)
    x, y = lines[:, :-1], lines[:, 1:]
    return [(x[:, i : i + WINDOW], y[:, i : i + WINDOW]) for i in range(0, steps - 1, WINDOW)]


RIGHT = {
    "[batch, time]": right,
    "[time, batch]": lambda s: [(x.T, y.T) for x, y in right(s)],
    "[time, batch], flat targets": lambda s: [(x.T, y.T.reshape(-1)) for x, y in right(s)],
    "[batch, time], flat targets": lambda s: [(x, y.reshape(-1)) for x, y in right(s)],
    "[batch, time], targets [time, batch]": lambda s: [(x, y.T) for x, y in right(s)],
    "whole numbers as floats": lambda s: [(x.astype("<f4"), y.astype("<f4")) for x, y in right(s)],
    "windows of varying length": variable,
    "one window": lambda s: right(s, 10**6),
    "windows without the last short one": lambda s: [
        p for p in right(s) if p[0].shape[1] == WINDOW
    ],
    "square windows": lambda s: right(s, B),
    "rows as a batch, the last one smaller": window_as_batch,
    "each row shifted by itself": own_rows,
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_right_loaders_pass_every_check(make):
    found = judged(epochs(make), make(joined(None)))
    assert {name: row for name, row in found.items() if row[0] is not True} == {}
    assert set(found) == {
        "import",
        "iterates",
        "targets",
        "order",
        "coverage",
        "shuffle",
        "untouched",
    }


def mapped(change: Callable) -> Callable[[np.ndarray], Batches]:
    return lambda stream: [change(x, y) for x, y in right(stream)]


def shifted(by: int) -> Callable[[np.ndarray], Batches]:
    def make(stream: np.ndarray) -> Batches:
        steps = (len(stream) - 4) // B
        cut = [stream[2 + k : 2 + k + steps * B].reshape(B, steps) for k in (0, by)]
        return [tuple(c[:, i : i + WINDOW] for c in cut) for i in range(0, steps, WINDOW)]

    return make


def rolled(stream: np.ndarray) -> Batches:
    """The last target of each window is the window's first word."""
    return [(x, np.roll(x, -1, axis=1)) for x, _ in right(stream)]


def dealt(stream: np.ndarray) -> Batches:
    """view(-1, batch_size) taken for rows: neighbouring words go to different rows."""
    steps = (len(stream) - 1) // B
    x, y = (stream[k : k + steps * B].reshape(steps, B) for k in (0, 1))
    return [(x[i : i + WINDOW], y[i : i + WINDOW]) for i in range(0, steps, WINDOW)]


def words_shuffled(stream: np.ndarray) -> Batches:
    return right(np.random.default_rng(stream[0]).permutation(stream))


def reshaped(stream: np.ndarray) -> Batches:
    """[time, batch] made by reshape in place of transpose."""
    return [(x.reshape(x.T.shape), y.reshape(y.T.shape)) for x, y in right(stream)]


def random_targets(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, np.random.default_rng(0).permutation(y.reshape(-1)).reshape(y.shape)


def unreadable(message: str, hint: str) -> dict[str, tuple[str, str]]:
    """What fails where no epoch can be read."""
    names = ("iterates", "targets", "order", "coverage", "shuffle")
    return dict.fromkeys(names, (message, hint))


WRONG = {
    "targets that are the inputs": (
        mapped(lambda x, y: (x, x)),
        {"targets": ("the inputs themselves", "stream[1:] beside stream[:-1]")},
    ),
    "targets two words ahead": (
        shifted(2),
        {"targets": ("two words ahead", "the shift is made twice")},
    ),
    "targets that are the word before": (
        shifted(-1),
        {"targets": ("the word before", "the wrong way")},
    ),
    "targets that wrap around at the end of a window": (
        rolled,
        {"targets": ("most others are right", "shift the whole stream")},
    ),
    "targets of other inputs": (
        mapped(random_targets),
        {"targets": ("are not the word after their input", "out of the same stream")},
    ),
    "axes mixed up by reshape": (
        reshaped,
        {"order": ("where batch_size is 8", "batch and time are mixed up")},
    ),
    "words dealt to different rows": (
        dealt,
        {"order": ("where batch_size is 8", "view(batch_size, -1)")},
    ),
    "words shuffled": (
        words_shuffled,
        {
            "targets": ("are not the word after", "same stream"),
            "order": ("neighbours in the text", "shuffle articles, never words"),
        },
    ),
    "the second half lost": (
        lambda s: right(s)[: len(right(s)) // 2],
        {"coverage": ("of 3372 words", "join all articles")},
    ),
    "the first window only": (
        lambda s: right(s)[:1],
        {"coverage": ("an epoch holds 320 of 3372", "join all articles")},
    ),
    "numbers that are not whole": (
        mapped(lambda x, y: (x + np.float32(0.5), y)),
        unreadable("not whole", "LongTensor"),
    ),
    "NaN": (
        mapped(lambda x, y: (x, np.full_like(y, np.nan, dtype="<f4"))),
        unreadable("not whole", "LongTensor"),
    ),
    "ids below zero": (
        mapped(lambda x, y: (x, y - 9999)),
        unreadable("where ids are 0 to 3371", "as they are"),
    ),
    "ids above the vocabulary": (
        mapped(lambda x, y: (x + 1, y)),
        unreadable("where ids are 0 to 3371", "as they are"),
    ),
    "fewer targets than inputs": (
        mapped(lambda x, y: (x, y[:, 1:])),
        unreadable("inputs of shape (8, 40) and targets of shape (8, 39)", "one target an input"),
    ),
    "flat inputs": (
        mapped(lambda x, y: (x.reshape(-1), y.reshape(-1))),
        unreadable("inputs of shape (320,)", "[batch, time] or [time, batch]"),
    ),
    "empty batches": (
        mapped(lambda x, y: (x[:0], y[:0])),
        unreadable("shape (0, 40)", "one target an input"),
    ),
    "no batches": (
        lambda s: [],
        unreadable("no batches at all", "range empty"),
    ),
}


@pytest.mark.parametrize(("make", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_loader_fails_the_checks_that_name_its_mistake_and_no_others(make, expected):
    found = judged(epochs(make))
    assert {name for name, (passed, *_) in found.items() if passed is not True} == set(expected)
    for name, (message, hint) in expected.items():
        assert message in found[name][1]
        assert hint in found[name][2]


def test_shuffling_once_is_not_shuffling_anew():
    found = judged([right(joined(1))] * 3)
    assert [n for n, row in found.items() if not row[0]] == ["shuffle"]
    assert "the same new order in every epoch" in found["shuffle"][1]
    assert "not in __init__" in found["shuffle"][2]


def test_not_shuffling_at_all_is_named():
    found = judged([right(joined(None))] * 3)
    assert [n for n, row in found.items() if not row[0]] == ["shuffle"]
    assert "the dataset's order in every epoch" in found["shuffle"][1]
    assert "permutation" in found["shuffle"][2]


def test_the_same_part_left_out_of_every_epoch_is_named():
    """Each epoch is nearly whole, but it is always the same articles that are missing."""
    window = 120

    def make(seed: int) -> Batches:
        order = np.random.default_rng(seed).permutation(20)  # of 24
        return right(np.concatenate([ARTICLES[i] for i in order]), window)

    found = judged([make(seed) for seed in (1, 2, 3)])
    assert [n for n, row in found.items() if not row[0]] == ["coverage"]
    assert "in three epochs only" in found["coverage"][1]
    assert "where windows start" in found["coverage"][2]


def test_a_changed_dataset_is_named():
    changed = np.random.default_rng(0).permutation(made_up.articles())
    found = judged(epochs(right), arrays={"after": changed})
    assert [n for n, row in found.items() if not row[0]] == ["untouched"]
    assert "shuffle a permutation of indices" in found["untouched"][2]


@pytest.mark.parametrize("name", [*data_loader.EPOCHS, "ordered"])
def test_an_endless_epoch_is_named(name):
    found = judged(epochs(right), values={f"{name}.endless": 2000})
    assert found["iterates"][0] is False
    assert "did not end within 2000 batches" in found["iterates"][1]
    assert "advance by the window's length" in found["iterates"][2]


def test_a_fault_without_shuffling_is_a_fault_too():
    found = judged(epochs(right), ordered=[])
    assert [n for n, row in found.items() if not row[0]] == ["iterates"]


def test_a_missing_module_is_named_and_the_rest_says_why():
    seen = {
        "data_loader.import": Observation("data_loader.import", "error", error={"type": "X"}),
        "data_loader.epochs": Observation(
            "data_loader.epochs",
            "error",
            error={"type": "ModuleNotFoundError", "message": "No module named 'data_loader'"},
        ),
    }
    verdicts = data_loader.judge(seen, ("data_loader",))
    assert [v.passed for v in verdicts] == [False, False, None, None, None, None, None]
    assert verdicts[0].message == "there is no data_loader.py"
    assert "No module named" in verdicts[1].message
    assert {v.message for v in verdicts[2:]} == {"not run: see above"}


HOSTILE = (
    np.zeros(()),
    np.zeros((0, 0), dtype="<i8"),
    np.zeros((2, 2, 2), dtype="<i8"),
    np.zeros((1, 1), dtype="<i8"),
    np.full((8, 40), np.inf, dtype="<f4"),
    np.full((8, 40), 2**62, dtype="<i8"),
    np.full((8, 40), 3e38, dtype="<f4"),
    np.zeros((8, 40), dtype="<i8"),
)


@pytest.mark.parametrize("x", HOSTILE, ids=lambda x: f"{x.shape} {x.dtype}")
@pytest.mark.parametrize("y", HOSTILE, ids=lambda y: f"{y.shape} {y.dtype}")
def test_no_arrays_at_all_make_a_check_raise(x, y):
    found = judged([[(x, y)]] * 3, [(x, y)])
    assert found["coverage"][0] is False
