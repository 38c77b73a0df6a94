"""The trainer: what a step does, checked against the same step written out."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from config import Config
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from trainer import LanguageModelTrainer

V = 40
PLAIN = Config(
    embedding_size=12,
    hidden_size=16,
    cutoffs=(),
    input_dropout=0.0,
    hidden_dropout=0.0,
    output_dropout=0.0,
    optimizer="sgd",
    schedule="constant",
    lr=0.5,
    clip=1e9,
    weight_decay=0.0,
    bptt=10,
)


def counting(n=600):
    """Text that counts round and round: a model learns it in no time."""
    out = np.empty(3, dtype=object)
    for i in range(3):
        out[i] = (np.arange(n // 3) + 11 * i) % V
    return out


def trainer(**changes):
    config = dataclasses.replace(PLAIN, **changes)
    model = LanguageModel(
        V, 12, 16, cutoffs=(), input_dropout=0.0, hidden_dropout=0.0, output_dropout=0.0
    )
    loader = LanguageModelDataLoader(counting(), 4, bptt=config.bptt)
    valid = LanguageModelDataLoader(counting(), 4, shuffle=False, bptt=config.bptt)
    return LanguageModelTrainer(model, loader, 1, "test", valid, config)


def nll(model, inputs, targets, hidden=None):
    log_probs, hidden = model(inputs, hidden)
    return -log_probs.gather(2, targets[..., None]).mean(), hidden


def test_a_step_is_sgd_on_the_mean_nll_and_returns_it():
    t = trainer()
    inputs, targets = torch.randint(0, V, (4, 10)), torch.randint(0, V, (4, 10))
    loss, _ = nll(t.model, inputs, targets)
    grads = torch.autograd.grad(loss, list(t.model.parameters()))
    wanted = [p - 0.5 * g for p, g in zip(t.model.parameters(), grads, strict=True)]
    assert t.train_batch(inputs, targets) == pytest.approx(loss.item(), rel=1e-5)
    for p, w in zip(t.model.parameters(), wanted, strict=True):
        torch.testing.assert_close(p, w)


def test_the_next_window_reads_on_from_the_last_ones_state_without_its_graph():
    t = trainer(lr=0.0)
    x, y = torch.randint(0, V, (4, 20)), torch.randint(0, V, (4, 20))
    t.train_batch(x[:, :10], y[:, :10])
    assert not any(part.requires_grad for state in t.hidden for part in state)
    _, hidden = t.model(x[:, :10])
    wanted, _ = nll(t.model, x[:, 10:], y[:, 10:], hidden)
    assert t.train_batch(x[:, 10:], y[:, 10:]) == pytest.approx(wanted.item(), rel=1e-5)


def test_short_windows_take_short_steps():
    t = trainer()
    t.train_batch(torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4, 5, dtype=torch.int64))
    assert t.optimizer.param_groups[0]["lr"] == pytest.approx(0.25)


def test_the_schedule_follows_the_share_of_tokens_seen():
    t = trainer(schedule="one-cycle")
    t.tokens_seen = 600 // 10  # the peak of one-cycle, at a tenth
    t.train_batch(torch.zeros(4, 10, dtype=torch.int64), torch.zeros(4, 10, dtype=torch.int64))
    assert t.optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def test_gradients_are_clipped_to_the_given_norm():
    t = trainer(clip=1e-3, lr=1.0)
    before = [p.detach().clone() for p in t.model.parameters()]
    t.train_batch(torch.randint(0, V, (4, 10)), torch.randint(0, V, (4, 10)))
    moved = [(p - b).pow(2).sum() for p, b in zip(t.model.parameters(), before, strict=True)]
    # weights of the order of 0.1 to 1 lose a little of a step of 1e-3 to rounding
    assert math.sqrt(sum(m.item() for m in moved)) == pytest.approx(1e-3, rel=1e-2)


def test_the_penalties_are_added_to_the_gradient_but_not_to_the_loss_returned():
    x, y = torch.randint(0, V, (4, 10)), torch.randint(0, V, (4, 10))
    torch.manual_seed(1)
    plain = trainer()
    torch.manual_seed(1)
    penalised = trainer(alpha=2.0, beta=1.0)
    assert plain.train_batch(x, y) == penalised.train_batch(x, y)
    pairs = zip(plain.model.parameters(), penalised.model.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("optimizer", "lr"), [("sgd", 20.0), ("adam", 0.05), ("nt-asgd", 20.0), ("asgd", 20.0)]
)
def test_each_optimizer_learns_to_count(optimizer, lr):
    t = trainer(optimizer=optimizer, lr=lr, clip=1.0)
    for _ in range(20):
        t.train()
        t.test()
    # uniform guessing gives ln 40 = 3.69; three joins between articles cannot be foreseen
    # (averaging takes the untrained weights in too, so it is the slowest)
    assert t.val_losses[-1] < 3.0
    assert len(t.train_losses) == len(t.val_losses) == 20


def test_validation_is_the_mean_nll_over_all_words_in_order():
    t = trainer()
    total = words = 0.0
    hidden = None
    for x, y in t.valid_loader:
        loss, hidden = nll(t.model, x, y, hidden)
        total += loss.item() * y.numel()
        words += y.numel()
    assert t.test() == pytest.approx(total / words, rel=1e-5)


def test_validation_and_saving_use_the_averaged_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = trainer(optimizer="nt-asgd", nonmono=0, lr=20.0, clip=1.0)
    t.optimizer.validated(1.0)
    t.optimizer.validated(2.0)
    t.train()
    raw = t.model.embedding.weight.detach().clone()
    with t.optimizer.averaged():
        averaged = t.model.embedding.weight.detach().clone()
    import checkpoint

    loaded = checkpoint.load(t.save(), LanguageModel, V).embedding.weight
    assert not torch.allclose(raw, averaged, atol=1e-3)
    torch.testing.assert_close(loaded, averaged, rtol=1e-3, atol=1e-3)  # half precision
    assert torch.equal(t.model.embedding.weight, raw)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_rate():
    t = trainer()
    with torch.no_grad():
        t.model.embedding.weight[3, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"learning rate 0\.5"):
        t.train_batch(torch.full((4, 10), 3), torch.full((4, 10), 3))


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "adagrad"}, {"schedule": "cosine"}, {"precision": "float8"}]
)
def test_unknown_names_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        trainer(**wrong)


def test_testing_without_validation_windows_says_what_is_missing():
    t = trainer()
    t.valid_loader = None
    with pytest.raises(ValueError, match="valid_loader"):
        t.test()


@pytest.mark.parametrize("softmax", ["full", "adaptive", "mixture", "sigsoftmax"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn", "transformer"])
def test_mixed_precision_follows_single_precision(cell, softmax):
    settings = {"cell": cell, "heads": 2, "softmax": softmax, "cutoffs": (10,), "components": 2}
    config = dataclasses.replace(PLAIN, lr=0.1, clip=1.0, **settings)
    losses = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = LanguageModel(V, 12, 16, **settings, input_dropout=0.0, hidden_dropout=0.0)
        loader = LanguageModelDataLoader(counting(), 4, shuffle=False, bptt=10)
        run = dataclasses.replace(config, precision=precision)
        t = LanguageModelTrainer(model, loader, 1, "test", None, run)
        torch.manual_seed(0)
        losses[precision] = [t.train_batch(x, y) for x, y in loader]
        assert all(p.dtype == torch.float32 for p in model.parameters())
    # bfloat16 keeps 8 bits: products are off by up to 0.4 %, and errors of steps add up
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
