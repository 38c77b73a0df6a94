"""Checks of the optional functions of `regularization.py`: those left alone cost nothing."""

import numpy as np

from ..run import Observation, Step
from . import made_up
from .data_loader import whole
from .verdict import Problem, Verdict, examine

NAMES = (
    "locked_dropout",
    "embedding_dropout",
    "activation_regularization",
    "temporal_activation_regularization",
    "window_length",
)
STEPS = [Step(f"regularization.{name}", "regularization", (name,), 20) for name in NAMES]
P = 0.5


def locked_dropout(seen: Observation) -> str:
    """One mask a row, the same at every step, kept values scaled up."""
    x, out = made_up.activations(), _array(seen, "train", made_up.activations().shape)
    _unchanged(seen, x)
    kept = out != 0
    if kept.all() or not kept.any():
        raise Problem(
            f"with p = {P} {'nothing' if kept.all() else 'everything'} is dropped",
            "draw a mask with bernoulli_(1 - p)",
        )
    if (kept != kept[:, :1]).any():
        raise Problem(
            "the mask changes from time step to time step",
            "draw it once a window, of shape [batch, 1, features]",
        )
    if (kept == kept[:1]).all():
        raise Problem("the mask is the same for every row", "draw one a row: [batch, 1, features]")
    _scaled(out[kept], x[kept])
    return "one mask a row, the same at every step"


def embedding_dropout(seen: Observation) -> str:
    """Whole words disappear, everywhere in the window; the others are scaled up."""
    ids = made_up.prompts()
    x = made_up.embedding()[ids]
    out = _array(seen, "train", x.shape)
    _unchanged(seen, x)
    kept = out != 0
    whole = kept.all(axis=-1)
    if (kept.any(axis=-1) != whole).any():
        raise Problem(
            "single features of a word are dropped",
            "drop whole words: one draw a row of the matrix, of shape [vocabulary, 1]",
        )
    if whole.all() or not whole.any():
        raise Problem(
            f"with p = {P} {'no word' if whole.all() else 'every word'} is dropped",
            "draw a mask with bernoulli_(1 - p)",
        )
    for word in np.unique(ids):
        if len(np.unique(whole[ids == word])) > 1:
            raise Problem(
                "a word is dropped in one place and kept in another",
                "draw the mask over the vocabulary, not over the places in the window",
            )
    _scaled(out[kept], x[kept])
    return "whole words are dropped, everywhere in the window"


def activation_regularization(seen: Observation) -> str:
    """Alpha * mean(h ** 2)."""
    x = made_up.activations().astype(np.float64)
    causes = {
        2 * np.abs(x).mean(): "that is the mean of |h|: square it",
        2 * x.mean(): "that is the mean of h itself: square it first",
        2 * np.square(x).sum(): "that is a sum: take the mean",
        2 * np.sqrt(np.square(x).sum()): "that is the norm: take the mean of the squares",
        np.square(x).mean(): "alpha is left out",
    }
    return _value(seen, 2 * np.square(x).mean(), "alpha * mean(h ** 2)", causes)


def temporal_activation_regularization(seen: Observation) -> str:
    """Beta * mean((h[t + 1] - h[t]) ** 2)."""
    x = made_up.activations().astype(np.float64)
    step = np.diff(x, axis=1)
    causes = {
        2
        * np.square(
            np.diff(x, axis=0)
        ).mean(): "that is the change from row to row: time is axis 1",
        2 * np.square(np.diff(x, axis=2)).mean(): "that is the change from feature to feature: "
        "time is axis 1",
        2 * np.abs(step).mean(): "that is the mean of |change|: square it",
        2 * np.square(step).sum(): "that is a sum: take the mean",
        np.square(step).mean(): "beta is left out",
    }
    return _value(seen, 2 * np.square(step).mean(), "beta * mean((h[t + 1] - h[t]) ** 2)", causes)


def window_length(seen: Observation) -> str:
    """Lengths vary about bptt, now and then about its half, and are never zero."""
    lengths, short = _whole(seen, "lengths", (2000,)), _whole(seen, "short", (200,))
    least = int(min(lengths.min(), short.min()))
    if least < 1:
        raise Problem(
            f"a window of length {least} was drawn",
            "a normal distribution has no bound: take max(5, length), or at least 1",
        )
    # 2,000 draws about 70 with deviation 5, 100 of them about 35: the median is within 1 of 70.
    if abs(float(np.median(lengths)) - 70) > 2:
        raise Problem(
            f"with bptt = 70 the median length is {np.median(lengths):.0f}",
            "draw from a normal distribution about bptt",
        )
    if len(np.unique(lengths)) < 5:
        raise Problem(
            f"2,000 draws gave only {len(np.unique(lengths))} different lengths",
            "draw anew at each call, with standard deviation 5",
        )
    halved = float((lengths < 52).mean())
    if not 0.02 <= halved <= 0.09:
        raise Problem(
            f"{halved:.1%} of windows are about half as long, where 5 % are expected",
            "the base is bptt with probability 0.95 and bptt / 2 otherwise",
        )
    return f"median {np.median(lengths):.0f}, {halved:.1%} about half as long"


def _array(seen: Observation, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = seen.arrays.get(name)
    if array is None or array.shape != shape:
        got = "nothing" if array is None else f"shape {array.shape}"
        raise Problem(f"it returned {got}, where {shape} is expected", "return x times the mask")
    return array


def _whole(seen: Observation, name: str, shape: tuple[int, ...]) -> np.ndarray:
    numbers = whole(_array(seen, name, shape))
    if numbers is None:
        raise Problem("a length is no whole number", "return an int")
    return numbers


def _unchanged(seen: Observation, x: np.ndarray) -> None:
    if not np.allclose(_array(seen, "eval", x.shape), x, rtol=1e-6):
        raise Problem(
            "with training=False the values change", "return the input as it is unless training"
        )


def _scaled(kept: np.ndarray, before: np.ndarray) -> None:
    factor = float(np.median(kept / before))
    if not np.allclose(kept, before / (1 - P), rtol=1e-4):
        raise Problem(
            f"kept values are multiplied by {factor:.3g}, where 1 / (1 - p) = {1 / (1 - P):.3g} "
            "keeps the mean",
            "divide the mask by 1 - p",
        )


def _value(seen: Observation, wanted: float, formula: str, causes: dict[float, str]) -> str:
    array = seen.arrays.get("value")
    if array is None or array.size != 1:
        raise Problem("it did not return one number", f"return {formula}, a scalar tensor")
    got = float(array.ravel()[0])
    # float32 means over 2,640 numbers, summed in any order.
    if np.isclose(got, wanted, rtol=1e-4):
        return f"{formula} = {got:.4f}"
    for value, cause in causes.items():
        if np.isclose(got, value, rtol=1e-4):
            raise Problem(f"it returned {got:.4f}, where {formula} = {wanted:.4f}", cause)
    raise Problem(f"it returned {got:.4f}, where {formula} = {wanted:.4f}", f"compute {formula}")


def judge(seen: dict[str, Observation]) -> list[Verdict]:
    """Judge the functions that are filled in."""
    verdicts = []
    for name in NAMES:
        observation = seen[f"regularization.{name}"]
        title = f"{name} (optional)"
        left_alone = observation.error.get("type") in ("NotImplementedError", "AttributeError")
        if observation.status == "error" and left_alone:
            verdicts.append(
                Verdict(f"regularization.{name}", title, None, "left alone, which costs nothing")
            )
        else:
            verdicts.append(examine(f"regularization.{name}", title, observation, globals()[name]))
    return verdicts
