"""score.py: the arithmetic agrees with a second way of computing it, and with examples by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from autograder import score


def nll_by_loop(scores: np.ndarray, targets: np.ndarray) -> list[float]:
    """The definition, a word at a time, with Python's own floats (64 bits) and exact sums."""
    out = []
    for row, target in zip(scores.tolist(), targets.tolist(), strict=True):
        top = max(row)
        total = math.fsum(math.exp(s - top) for s in row)
        out.append(-math.log(math.exp(row[target] - top) / total))
    return out


def test_nll_of_an_example_by_hand():
    # Odds 1:2:1 and 1:1, so p = 1/2 and 1/2 and, for a score of 0 among three, 1/3.
    scores = np.log(np.array([[1, 2, 1], [3, 3, 6], [1, 1, 1]], dtype=np.float32))
    nll = score.target_nll(scores, np.array([1, 2, 0]))
    assert nll.dtype == np.float64
    assert nll == pytest.approx([math.log(2), math.log(2), math.log(3)], rel=1e-7)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_nll_equals_a_float64_loop_whatever_the_number_of_rows(rng, rows):
    scores = (rng.normal(size=(rows, 37)) * 4).astype(np.float32)
    targets = rng.integers(0, 37, size=rows)
    # Both are float64 throughout: they differ by the order of a sum of 37 numbers.
    np.testing.assert_allclose(
        score.target_nll(scores, targets), nll_by_loop(scores, targets), rtol=1e-12, atol=1e-12
    )


def test_nll_does_not_change_when_a_constant_is_added_to_a_row(rng):
    scores = rng.normal(size=(20, 11))
    targets = rng.integers(0, 11, size=20)
    shifted = scores + rng.normal(size=(20, 1)) * 100
    np.testing.assert_allclose(
        score.target_nll(shifted, targets), score.target_nll(scores, targets), rtol=0, atol=1e-12
    )


def test_log_probabilities_are_scores_too(rng):
    scores = rng.normal(size=(20, 11))
    targets = rng.integers(0, 11, size=20)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        score.target_nll(log_p, targets), -log_p[np.arange(20), targets], rtol=1e-12
    )


@pytest.mark.parametrize("size", [1e4, 1e38])
def test_huge_scores_neither_overflow_nor_underflow(size):
    scores = np.array([[size, -size, 0], [size, size, -size]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        nll = score.target_nll(scores, np.array([1, 0]))
    assert nll == pytest.approx([2 * float(np.float32(size)), math.log(2)], rel=1e-12)


def test_half_precision_scores_are_summed_in_float64(rng):
    scores = rng.normal(size=(9, 5000)).astype(np.float16)
    targets = rng.integers(0, 5000, size=9)
    np.testing.assert_allclose(
        score.target_nll(scores, targets), nll_by_loop(scores, targets), rtol=1e-12
    )


def test_scores_are_not_changed(rng):
    scores = rng.normal(size=(3, 4))
    before = scores.copy()
    score.target_nll(scores, np.array([0, 1, 2]))
    assert (scores == before).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(bad):
    scores = np.zeros((200, 4), dtype=np.float32)
    scores[150, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        score.target_nll(scores, np.zeros(200, dtype=np.int64))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (4, 3, 2)])
def test_scores_that_do_not_match_their_targets_are_refused(shape):
    with pytest.raises(ValueError, match="do not match"):
        score.target_nll(np.zeros(shape), np.zeros(4, dtype=np.int64))


def test_mean_and_standard_error_by_hand():
    # 1, 2, 6: mean 3, squared deviations 4 + 1 + 9 = 14, variance 14 / 2, error sqrt(7 / 3).
    assert score.mean(np.array([1.0, 2.0, 6.0])) == score.Mean(3.0, pytest.approx(math.sqrt(7 / 3)))


def test_one_row_has_no_standard_error():
    with pytest.raises(ValueError, match="two rows"):
        score.mean(np.array([1.0]))


STEPS = [[3.0, 50], [3.5, 40], [4.5, 20], [6.0, 0]]


@pytest.mark.parametrize(
    ("nll", "points"),
    [
        (0.0, 50),
        (3.0, 50),
        (3.0001, 50),  # 49.998 points round to 50.00
        (3.001, 49.98),
        (3.25, 45),
        (3.5, 40),
        (4.0, 30),
        (4.5, 20),
        (5.25, 10),
        (5.9999, 0),
        (6.0, 0),
        (1e30, 0),
    ],
)
def test_points_fall_along_straight_lines(nll, points):
    assert score.points(nll, STEPS) == points


def test_points_never_rise_with_the_nll():
    along = [score.points(x, STEPS) for x in np.linspace(2.5, 6.5, 2001)]
    assert all(a >= b for a, b in pairwise(along))


def test_an_nll_that_is_shown_as_the_threshold_is_graded_as_the_threshold():
    steep = [[3.0, 50], [3.001, 0]]
    assert score.points(3.00004, steep) == 50
    assert score.points(3.00006, steep) == 45


def test_points_may_end_above_zero():
    assert score.points(9.0, [[1.0, 50], [2.0, 10]]) == 10


def test_distinct_2_by_hand():
    words = np.array([[1, 2, 1, 2], [1, 2, 3, 4]])  # 12 21 12 | 12 23 34: 4 of 6 differ
    assert score.distinct_2(words) == 4 / 6
    assert score.distinct_2(np.arange(12).reshape(3, 4)) == 1
    assert score.distinct_2(np.zeros((3, 4), dtype=np.int64)) == 1 / 9


def test_bigrams_do_not_reach_from_row_to_row():
    assert score.distinct_2(np.array([[1, 2], [3, 1], [2, 3]])) == 1


def test_degenerate_rows_by_hand():
    words = np.array(
        [
            [5, 5, 5, 5, 5],  # one word
            [5, 6, 5, 6, 5],  # two
            [5, 6, 7, 5, 6],  # three: text
            [0, 0, 0, 0, 7],  # 4 of 5 unknown, and two words
            [0, 0, 0, 6, 7],  # 3 of 5 unknown
        ]
    )
    assert score.degenerate(words, 0).tolist() == [True, True, False, True, False]
    assert score.degenerate(words, None).tolist() == [True, True, False, True, False]


def test_eight_of_ten_unknown_words_are_degenerate_even_beside_two_others():
    words = np.array([[0] * 8 + [1, 2], [0] * 7 + [1, 2, 3]])
    assert score.degenerate(words, 0).tolist() == [True, False]
    assert score.degenerate(words, None).tolist() == [False, False]
