"""Recurrent layers against PyTorch's own and against plain loops in float64."""

import pytest
import torch
from language_model import LanguageModel
from recurrent import QRNN, WeightDropoutLSTM
from torch import nn

# Two orders of float32 arithmetic over some tens of features.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}


def test_without_dropout_the_layer_is_pytorchs_lstm():
    ours, theirs = WeightDropoutLSTM(5, 7), nn.LSTM(5, 7, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 11, 5)
    output, (h, c) = ours(x)
    wanted, (wanted_h, wanted_c) = theirs(x)
    for a, b in ((output, wanted), (h, wanted_h), (c, wanted_c)):
        torch.testing.assert_close(a, b, **FLOAT32)


def test_weight_dropout_draws_one_mask_for_all_steps_and_rows(monkeypatch):
    layer = WeightDropoutLSTM(4, 6, weight_dropout=0.5)
    masks = []

    def dropout(weight, p, training):
        mask = torch.bernoulli(torch.full_like(weight, 1 - p)) / (1 - p)
        masks.append(mask)
        return weight * mask

    monkeypatch.setattr("recurrent.lstm.F.dropout", dropout)
    x = torch.randn(3, 9, 4)
    output, _ = layer(x)
    assert len(masks) == 1
    fixed = nn.LSTM(4, 6, batch_first=True)
    fixed.load_state_dict(layer.state_dict())
    with torch.no_grad():
        fixed.weight_hh_l0.mul_(masks[0])
    torch.testing.assert_close(output, fixed(x)[0], **FLOAT32)


def test_weight_dropouts_gradient_reaches_the_raw_weight():
    layer = WeightDropoutLSTM(4, 6, weight_dropout=0.5)
    layer(torch.randn(3, 9, 4))[0].sum().backward()
    share = (layer.weight_hh_l0.grad != 0).float().mean().item()
    # 144 entries, each kept with probability 0.5: standard error 0.042
    assert share == pytest.approx(0.5, abs=0.17)


def test_evaluation_ignores_weight_dropout():
    layer = WeightDropoutLSTM(4, 6, weight_dropout=0.9).eval()
    x = torch.randn(2, 5, 4)
    assert torch.equal(layer(x)[0], layer(x)[0])


def plain_qrnn(layer, x):
    """The paper's equations, one row, step and gate at a time."""
    w, b = layer.gates.weight, layer.gates.bias
    hidden, out = layer.hidden_size, torch.empty(*x.shape[:2], layer.hidden_size, dtype=x.dtype)
    for row in range(len(x)):
        c = x.new_zeros(hidden)
        for t in range(x.size(1)):
            seen = x[row, t]
            if layer.window == 2:
                before = x[row, t - 1] if t else torch.zeros_like(seen)
                seen = torch.cat([seen, before])
            z, f, o = (w @ seen + b).split(hidden)
            c = f.sigmoid() * c + (1 - f.sigmoid()) * z.tanh()
            out[row, t] = o.sigmoid() * c
    return out


@pytest.mark.parametrize("window", [1, 2])
def test_qrnn_equals_the_plain_loop(window):
    layer = QRNN(5, 7, window).double()
    x = torch.randn(3, 8, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], plain_qrnn(layer, x), rtol=1e-12, atol=1e-12)


def test_qrnn_refuses_another_window():
    with pytest.raises(ValueError, match="1 or 2"):
        QRNN(3, 3, window=3)


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
def test_a_carried_state_reads_on_where_the_last_window_ended(cell):
    model = LanguageModel(50, 8, 12, 2, cell=cell, cutoffs=(10,)).eval()
    ids = torch.randint(0, 50, (3, 12))
    whole, _ = model(ids)
    first, hidden = model(ids[:, :5])
    second, _ = model(ids[:, 5:], hidden)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **FLOAT32)


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
def test_no_score_depends_on_a_later_word_or_another_row(cell):
    model = LanguageModel(50, 8, 12, 2, cell=cell, cutoffs=()).eval()
    ids = torch.randint(0, 50, (3, 10))
    changed = ids.clone()
    changed[0, 6:] = (changed[0, 6:] + 1) % 50
    a, b = model(ids)[0], model(changed)[0]
    torch.testing.assert_close(a[0, :6], b[0, :6], **FLOAT32)
    torch.testing.assert_close(a[1:], b[1:], **FLOAT32)
    assert not torch.allclose(a[0, 6:], b[0, 6:])


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="'rnn'"):
        LanguageModel(50, cell="rnn")
