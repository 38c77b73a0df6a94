"""The grader's arithmetic: negative log likelihoods, their standard errors, and points.

Everything is float64 and natural logarithms; nothing here knows a file or a submission.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CHUNK_ROWS = 128


@dataclass(frozen=True)
class Mean:
    """A mean over independent rows, with the standard error of that mean."""

    value: float
    stderr: float


def target_nll(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return -log softmax(scores)[target] of each row.

    Args:
        scores: finite float [rows, vocabulary]; any constant may be added to a row.
        targets: int64 [rows], or [rows, k] for the NLL of several words of each row.

    Returns:
        float64, shaped as the targets, in nats.

    Raises:
        ValueError: the rows do not match, or a score is not finite.
    """
    import torch  # which takes longer to import than all checks without a score need

    if scores.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(scores):
        raise ValueError(f"scores {scores.shape} do not match targets {targets.shape}")
    columns = targets.reshape(len(targets), -1)
    out = np.empty(columns.shape, dtype=np.float64)
    for start in range(0, len(targets), CHUNK_ROWS):  # bounds the float64 copy
        part = scores[start : start + CHUNK_ROWS].astype(np.float64)
        if not np.isfinite(part).all():
            raise ValueError("a score is not finite")
        part -= part.max(axis=1, keepdims=True)
        chosen = np.take_along_axis(part, columns[start : start + CHUNK_ROWS], axis=1)
        # Where a CPU has no AVX-512, NumPy's own takes four times as long.
        torch.from_numpy(part).exp_()
        total = part.sum(axis=1, keepdims=True)
        out[start : start + CHUNK_ROWS] = np.log(total) - chosen
    return out.reshape(targets.shape)


def mean(rows: np.ndarray) -> Mean:
    """Return the mean of float64 [rows] and its standard error (sample deviation / sqrt(rows))."""
    if len(rows) < 2:
        raise ValueError("a standard error needs at least two rows")
    return Mean(float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(len(rows))))


def controlled(rows: np.ndarray, control: np.ndarray, expected: float) -> Mean:
    """Return the mean of float64 [rows] less what the luck of the draw added to it.

    `control` [rows] is something like it measured on the same rows, whose mean over all rows that
    might have been drawn is known, `expected`. Where the drawn ones are harder than those by the
    control, the mean is lowered in proportion, by the slope of a regression on the draw itself:
    Owen, Monte Carlo theory, methods and examples (2013), section 8.9. Its bias, of the order of
    1/rows, is far below the standard error, which is that of what the control leaves unexplained.
    """
    if len(rows) < 3:
        raise ValueError("a regression needs at least three rows")
    centred = control - control.mean()
    spread = float(centred @ centred)
    slope = float(centred @ rows) / spread if spread else 0.0
    left = rows - slope * (control - expected)
    variance = float(((left - left.mean()) ** 2).sum()) / (len(rows) - 2)
    return Mean(float(left.mean()), math.sqrt(variance / len(rows)))


def luck(nll: Mean, steps: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Return the fewest and the most points within two standard errors of an NLL.

    None where that range holds no step of the rubric, or makes no difference.
    """
    low, high = nll.value - 2 * nll.stderr, nll.value + 2 * nll.stderr
    fewest, most = points(high, steps), points(low, steps)
    near = any(low <= step[0] <= high for step in steps)
    return (fewest, most) if near and fewest < most else None


def points(nll: float, steps: Sequence[Sequence[float]]) -> float:
    """Return the points for an NLL, along straight lines between `(nll, points)` steps.

    At or below the first step all of its points are earned, beyond the last its points (zero).
    The value is rounded to 4 decimals first, so that what is shown is what is graded.
    """
    at = [step[0] for step in steps]
    worth = [step[1] for step in steps]
    return round(float(np.interp(round(nll, 4), at, worth)), 2)


def distinct_2(words: np.ndarray) -> float:
    """Return the share of different bigrams among all bigrams of int64 [rows, length].

    Li et al. 2016, section 5.2: near 0 for text that repeats itself, 1 where no bigram comes twice.
    """
    pairs = np.stack([words[:, :-1], words[:, 1:]], axis=-1).reshape(-1, 2)
    return len(np.unique(pairs, axis=0)) / len(pairs)


def degenerate(words: np.ndarray, unknown: int | None) -> np.ndarray:
    """Say which rows are no text: they go in a circle, or are nearly all `<unk>`.

    A circle is a row at most half of whose word pairs differ from one another.

    Args:
        words: int64 [rows, length].
        unknown: the id of `<unk>`, None where the vocabulary has none.

    Returns:
        bool [rows].
    """
    circles = np.array([distinct_2(row[None]) <= 0.5 for row in words])
    if unknown is None:
        return circles
    return circles | ((words == unknown).mean(axis=1) >= 0.8)
