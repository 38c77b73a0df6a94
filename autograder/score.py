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
        targets: int64 [rows].

    Returns:
        float64 [rows], in nats.

    Raises:
        ValueError: the rows do not match, or a score is not finite.
    """
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(f"scores {scores.shape} do not match targets {targets.shape}")
    out = np.empty(len(targets), dtype=np.float64)
    for start in range(0, len(targets), CHUNK_ROWS):  # bounds the float64 copy
        part = scores[start : start + CHUNK_ROWS].astype(np.float64)
        if not np.isfinite(part).all():
            raise ValueError("a score is not finite")
        part -= part.max(axis=1, keepdims=True)
        chosen = part[np.arange(len(part)), targets[start : start + CHUNK_ROWS]]
        out[start : start + CHUNK_ROWS] = np.log(np.exp(part).sum(axis=1)) - chosen
    return out


def mean(rows: np.ndarray) -> Mean:
    """Return the mean of float64 [rows] and its standard error (sample deviation / sqrt(rows))."""
    if len(rows) < 2:
        raise ValueError("a standard error needs at least two rows")
    return Mean(float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(len(rows))))


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
    """Say which rows are no text: at most two different words, or nearly all `<unk>`.

    Args:
        words: int64 [rows, length].
        unknown: the id of `<unk>`, None where the vocabulary has none.

    Returns:
        bool [rows].
    """
    few = np.array([len(set(row)) <= 2 for row in words.tolist()])
    if unknown is None:
        return few
    return few | ((words == unknown).mean(axis=1) >= 0.8)
