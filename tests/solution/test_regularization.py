"""Regularisers: their statistics, and their values against NumPy."""

import numpy as np
import pytest
import regularization as reg
import torch


def test_locked_dropout_has_one_mask_a_row_the_same_at_every_step():
    kept = reg.locked_dropout(torch.ones(6, 9, 50), 0.5) != 0
    assert (kept == kept[:, :1]).all()
    assert not (kept == kept[:1]).all()


def test_locked_dropout_keeps_the_mean():
    # 40,000 independent masks of 0 or 1 / 0.7: the mean's standard error is 0.0033.
    mean = reg.locked_dropout(torch.ones(200, 2, 200), 0.3).mean().item()
    assert mean == pytest.approx(1, abs=0.014)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_locked_dropout_leaves_values_untouched_when_off(p, training):
    x = torch.randn(3, 4, 5)
    assert torch.equal(reg.locked_dropout(x, p, training), x)


def test_a_dropped_word_disappears_everywhere_in_the_window():
    ids = torch.randint(0, 12, (5, 30))
    out = reg.embedding_dropout(torch.ones(12, 4), ids, 0.5)
    for word in range(12):
        values = out[ids == word].unique()
        assert len(values) == 1
        assert values.item() in (0.0, 2.0)
    assert len(out.unique()) == 2


def test_embedding_dropout_keeps_the_mean():
    # 20,000 words, each 0 or 1 / 0.9: the mean's standard error is 0.0024.
    out = reg.embedding_dropout(torch.ones(20_000, 1), torch.arange(20_000)[None], 0.1)
    assert out.mean().item() == pytest.approx(1, abs=0.01)


def test_embedding_dropout_is_a_look_up_in_evaluation():
    weight, ids = torch.randn(7, 3), torch.randint(0, 7, (2, 5))
    assert torch.equal(reg.embedding_dropout(weight, ids, 0.5, training=False), weight[ids])


def test_activation_regularisers_equal_their_formulas():
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    h = x.numpy()
    ar = 2 * np.mean(h**2)
    tar = 3 * np.mean([(h[:, t + 1] - h[:, t]) ** 2 for t in range(6)])
    # float64 sums of a hundred numbers in another order
    assert reg.activation_regularization(x, 2).item() == pytest.approx(ar, rel=1e-12)
    assert reg.temporal_activation_regularization(x, 3).item() == pytest.approx(tar, rel=1e-12)


def test_temporal_regularisation_of_a_single_step_is_zero():
    assert reg.temporal_activation_regularization(torch.randn(3, 1, 5), 1.0).item() == 0


def test_window_lengths_follow_the_paper():
    lengths = np.array([reg.window_length(70) for _ in range(4000)])
    # The lower mode, 35 with deviation 5, has a share of 5 %, standard error 0.34 %; 52.5 lies 3.5
    # deviations from both modes.
    assert np.mean(lengths < 52.5) == pytest.approx(0.05, abs=0.014)
    # 3,800 draws of deviation 5: standard error 0.08
    assert np.mean(lengths[lengths > 52.5]) == pytest.approx(70, abs=0.35)
    assert np.std(lengths[lengths > 52.5]) == pytest.approx(5, abs=0.35)


def test_no_window_is_shorter_than_its_minimum():
    assert min(reg.window_length(1) for _ in range(300)) == 5
    assert min(reg.window_length(1, minimum=0) for _ in range(300)) == 1
