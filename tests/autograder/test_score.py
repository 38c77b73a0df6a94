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


def test_several_words_of_a_row_are_scored_at_once(rng):
    scores = rng.normal(size=(130, 11))
    targets = rng.integers(0, 11, size=(130, 3))
    together = score.target_nll(scores, targets)
    assert together.shape == (130, 3)
    for column in range(3):
        alone = score.target_nll(scores, targets[:, column])
        assert (together[:, column] == alone).all()


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


def least_squares(rows: np.ndarray, control: np.ndarray, expected: float) -> tuple[float, float]:
    """The value of a fitted line at `expected`, and that of its error there for a mean."""
    design = np.column_stack([np.ones_like(control), control - expected])
    solved, squares, *_ = np.linalg.lstsq(design, rows, rcond=None)
    return solved[0], math.sqrt(squares[0] / (len(rows) - 2) / len(rows))


def test_a_controlled_mean_is_the_regressions_value_where_the_control_is_expected(rng):
    control = rng.normal(5, 3, size=400)
    rows = 0.9 * control + rng.normal(0, 1, size=400)
    found = score.controlled(rows, control, 4.9)
    assert (found.value, found.stderr) == pytest.approx(least_squares(rows, control, 4.9))


def test_a_control_takes_the_luck_of_the_draw_away_and_tells_its_error_rightly():
    """2,000 draws of 200 rows, of something whose mean is 3 + 0.8 * 5 = 7.

    The control explains all but 1 of 1 + 0.64 * 9 of its variance. A standard deviation from
    2,000 draws is known to 1/sqrt(4000), 1.6 %; five of these, and 1 % for 200 rows.
    """
    rng = np.random.default_rng(0)
    control = rng.normal(5, 3, size=(2000, 200))
    rows = 3 + 0.8 * control + rng.normal(0, 1, size=control.shape)
    found = [score.controlled(r, c, 5) for r, c in zip(rows, control, strict=True)]
    values = np.array([mean.value for mean in found])
    stderr = np.mean([mean.stderr for mean in found])
    assert values.std() == pytest.approx(1 / math.sqrt(200), rel=0.09)
    assert stderr == pytest.approx(values.std(), rel=0.09)
    assert rows.mean(axis=1).std() > 2.4 * values.std()
    assert values.mean() == pytest.approx(7, abs=5 * values.std() / math.sqrt(2000))


def test_a_control_that_says_nothing_changes_nothing(rng):
    rows = rng.normal(5, 3, size=50)
    found = score.controlled(rows, np.full(50, 2.0), 3.0)
    assert found.value == pytest.approx(rows.mean())
    assert found.stderr == pytest.approx(score.mean(rows).stderr * math.sqrt(49 / 48))


def test_two_rows_have_no_regression():
    with pytest.raises(ValueError, match="three rows"):
        score.controlled(np.array([1.0, 2.0]), np.array([1.0, 2.0]), 1.0)


@pytest.mark.parametrize(
    ("nll", "stderr", "reach"),
    [
        (2.95, 0.05, (49.0, 50.0)),  # 3.05 would earn 49
        (2.95, 0.02, None),  # no step is near
        (3.04, 0.03, (48.0, 50.0)),  # full points are within reach
        (3.25, 0.05, None),  # on the slope between two steps
        (3.48, 0.02, (39.6, 41.2)),
        (9.0, 0.5, None),  # nothing to win
        (3.0, 0.0, None),
    ],
)
def test_luck_is_named_where_a_step_is_within_two_standard_errors(nll, stderr, reach):
    found = score.luck(score.Mean(nll, stderr), STEPS)
    assert found == (None if reach is None else pytest.approx(reach))


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
            [5, 5, 5, 5, 5],  # one word: one pair of four
            [5, 6, 5, 6, 5],  # two words: two of four
            [5, 6, 7, 5, 6],  # three of four: text
            [0, 0, 0, 0, 7],  # 4 of 5 unknown
            [0, 0, 5, 6, 7],  # 2 of 5 unknown
        ]
    )
    assert score.degenerate(words, 0).tolist() == [True, True, False, True, False]


def test_a_circle_of_four_words_is_degenerate_in_ten_and_one_of_five_is_not():
    words = np.array([[1, 2, 3, 4] * 2 + [1, 2], [1, 2, 3, 4, 5] * 2])
    assert score.degenerate(words, None).tolist() == [True, False]


def test_eight_of_ten_unknown_words_are_degenerate_even_where_pairs_differ():
    words = np.array([[0, 0, 1, 0, 0, 0, 2, 0, 0, 0], [0, 0, 1, 0, 0, 2, 0, 0, 3, 0]])
    assert score.degenerate(words, 0).tolist() == [True, False]
    assert score.degenerate(words, None).tolist() == [False, False]
