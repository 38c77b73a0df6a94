"""Recurrent layers against PyTorch's own and against plain loops in float64."""

import math

import pytest
import torch
from language_model import LanguageModel
from recurrent import QRNN, TransformerLayer, WeightDropoutGRU, WeightDropoutLSTM, transformer
from recurrent.scan import linear_recurrence
from torch import nn

# Two orders of float32 arithmetic over some tens of features.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}


LAYERS = [(WeightDropoutLSTM, nn.LSTM), (WeightDropoutGRU, nn.GRU)]
CELLS = ["lstm", "gru", "qrnn", "transformer"]


@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_without_dropout_the_layer_is_pytorchs(ours, theirs):
    layer, wanted = ours(5, 7), theirs(5, 7, batch_first=True)
    wanted.load_state_dict(layer.state_dict())
    x = torch.randn(3, 11, 5)
    output, state = layer(x)
    wanted_output, wanted_state = wanted(x)
    torch.testing.assert_close(output, wanted_output, **FLOAT32)
    wanted_state = wanted_state if isinstance(wanted_state, tuple) else (wanted_state,)
    for a, b in zip(state, wanted_state, strict=True):
        torch.testing.assert_close(a, b, **FLOAT32)


@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_weight_dropout_draws_one_mask_for_all_steps_and_rows(ours, theirs, monkeypatch):
    layer = ours(4, 6, weight_dropout=0.5)
    masks = []

    def dropout(weight, p, training):
        mask = torch.bernoulli(torch.full_like(weight, 1 - p)) / (1 - p)
        masks.append(mask)
        return weight * mask

    monkeypatch.setattr("torch.nn.functional.dropout", dropout)
    x = torch.randn(3, 9, 4)
    output, _ = layer(x)
    assert len(masks) == 1
    fixed = theirs(4, 6, batch_first=True)
    fixed.load_state_dict(layer.state_dict())
    with torch.no_grad():
        fixed.weight_hh_l0.mul_(masks[0])
    torch.testing.assert_close(output, fixed(x)[0], **FLOAT32)


@pytest.mark.parametrize("layer_class", [WeightDropoutLSTM, WeightDropoutGRU])
def test_weight_dropouts_gradient_reaches_the_raw_weight(layer_class):
    layer = layer_class(4, 6, weight_dropout=0.5)
    layer(torch.randn(3, 9, 4))[0].sum().backward()
    share = (layer.weight_hh_l0.grad != 0).float().mean().item()
    # 108 entries or more, each kept with probability 0.5: standard error at most 0.048
    assert share == pytest.approx(0.5, abs=0.19)


@pytest.mark.parametrize("layer_class", [WeightDropoutLSTM, WeightDropoutGRU])
def test_evaluation_ignores_weight_dropout(layer_class):
    layer = layer_class(4, 6, weight_dropout=0.9).eval()
    x = torch.randn(2, 5, 4)
    assert torch.equal(layer(x)[0], layer(x)[0])


# one step, a block that is full, one that is not, and lengths around a square
@pytest.mark.parametrize("time", [1, 2, 4, 9, 10, 16, 17, 70])
def test_the_scan_equals_the_loop_in_values_and_gradients(time):
    f = torch.rand(3, time, 5, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, time, 5, dtype=torch.float64, requires_grad=True)
    c = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    state, states = c, []
    for t in range(time):
        state = f[:, t] * state + b[:, t]
        states.append(state)
    wanted, got = torch.stack(states, dim=1), linear_recurrence(f, b, c)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(wanted)  # so that each step's gradient counts
    pairs = zip(
        torch.autograd.grad((got * weights).sum(), (f, b, c)),
        torch.autograd.grad((wanted * weights).sum(), (f, b, c)),
        strict=True,
    )
    for ours, loop in pairs:
        torch.testing.assert_close(ours, loop, rtol=1e-11, atol=1e-11)


def test_the_scan_is_finite_where_gates_are_shut():
    """Products of many small gates vanish; a scan that divided by them would give NaN."""
    f, b = torch.zeros(2, 50, 3), torch.randn(2, 50, 3)
    assert torch.equal(linear_recurrence(f, b, torch.ones(2, 3)), b)


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


@pytest.mark.parametrize("cell", CELLS)
def test_a_carried_state_reads_on_where_the_last_window_ended(cell):
    model = LanguageModel(50, 8, 12, 2, cell=cell, cutoffs=(10,)).eval()
    ids = torch.randint(0, 50, (3, 12))
    whole, _ = model(ids)
    first, hidden = model(ids[:, :5])
    second, _ = model(ids[:, 5:], hidden)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **FLOAT32)


@pytest.mark.parametrize("cell", CELLS)
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


def test_without_positions_the_layer_is_pytorchs_encoder_layer(monkeypatch):
    monkeypatch.setattr(transformer, "rotate", lambda x: x)
    layer = TransformerLayer(8, 12, 2)
    wanted = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, activation="gelu", batch_first=True)
    names = {
        "queries_keys_values.weight": "self_attn.in_proj_weight",
        "queries_keys_values.bias": "self_attn.in_proj_bias",
        "out.weight": "self_attn.out_proj.weight",
        "out.bias": "self_attn.out_proj.bias",
        "widen.weight": "linear1.weight",
        "widen.bias": "linear1.bias",
        "narrow.weight": "linear2.weight",
        "narrow.bias": "linear2.bias",
    }
    norms = {"attention_norm": "norm1", "feed_forward_norm": "norm2"}
    names |= {f"{a}.{end}": f"{b}.{end}" for a, b in norms.items() for end in ("weight", "bias")}
    wanted.load_state_dict({names[name]: p for name, p in layer.state_dict().items()})
    x = torch.randn(3, 9, 8)
    causal = nn.Transformer.generate_square_subsequent_mask(9)
    torch.testing.assert_close(layer(x)[0], wanted(x, src_mask=causal), **FLOAT32)


def test_rotation_is_multiplication_by_unit_complex_numbers():
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    rates = torch.tensor([10_000.0 ** (-i / 3) for i in range(3)], dtype=torch.float64)
    angles = torch.arange(7, dtype=torch.float64)[:, None] * rates
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones_like(angles), angles)
    # angles are computed in float32
    torch.testing.assert_close(transformer.rotate(x)[..., :3], turned.real, rtol=0, atol=1e-5)
    torch.testing.assert_close(transformer.rotate(x)[..., 3:], turned.imag, rtol=0, atol=1e-5)


def test_the_weights_to_be_drawn_are_those_that_forward_mixes_with(monkeypatch):
    layer = TransformerLayer(8, 12, 2)
    _, state = layer(torch.randn(3, 4, 8))
    x = torch.randn(3, 5, 8)
    weights = layer.attention(x, state)
    assert weights.shape == (3, 2, 5, 9)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(3, 2, 5))
    mixed = []
    real = nn.functional.scaled_dot_product_attention

    def recorded(q, k, v, attn_mask):
        mixed.append((v, real(q, k, v, attn_mask=attn_mask)))
        return mixed[-1][1]

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", recorded)
    layer(x, state)
    values, wanted = mixed[0]
    torch.testing.assert_close(weights @ values, wanted, **FLOAT32)


def test_a_word_sees_the_span_and_nothing_before_it(monkeypatch):
    monkeypatch.setattr(transformer, "SPAN", 4)
    layer = TransformerLayer(8, 12, 2)
    x = torch.randn(1, 10, 8)
    seen = layer.attention(x)[0, 0] > 0
    distance = torch.arange(10)[:, None] - torch.arange(10)
    assert torch.equal(seen, (distance >= 0) & (distance < 4))
    pieces, state = [], None
    for piece in x.split([3, 1, 5, 1], dim=1):
        output, state = layer(piece, state)
        assert state[0].size(0) <= 3
        pieces.append(output)
    torch.testing.assert_close(torch.cat(pieces, dim=1), layer(x)[0], **FLOAT32)


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(ValueError, match="8 features cannot be shared by 3 heads"):
        LanguageModel(50, 8, cell="transformer", heads=3)


def test_a_transformer_refuses_weight_dropout():
    with pytest.raises(ValueError, match=r"weight_dropout is 0\.5"):
        LanguageModel(50, 8, cell="transformer", weight_dropout=0.5)


@pytest.mark.parametrize("cell", CELLS)
def test_training_reaches_every_parameter(cell):
    model = LanguageModel(50, 8, 12, 2, cell=cell, softmax="full")
    ids = torch.randint(0, 50, (3, 12))
    raw, dropped, _ = model.features(ids[:, :-1])
    model.loss(dropped, ids[:, 1:]).backward()
    assert raw.shape == (3, 11, 8)
    for name, p in model.named_parameters():
        assert math.isfinite(p.grad.sum()) and p.grad.abs().sum() > 0, name
