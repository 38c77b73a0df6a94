"""NT-ASGD against SGD and by hand; schedules at their corners."""

import dataclasses
import math

import pytest
import torch
from config import PRESETS
from optim import (
    NTASGD,
    SCHEDULES,
    Objective,
    constant,
    discriminative_rates,
    lr_finder,
    one_cycle,
    slanted_triangular,
    unfrozen,
)
from optim import __main__ as commands
from torch import nn


def steps(optimizer, p, n):
    """Take n steps on the loss p ** 2 / 2, whose gradient is p; return p after each."""
    seen = []
    for _ in range(n):
        optimizer.zero_grad()
        (p**2 / 2).sum().backward()
        optimizer.step()
        seen.append(p.detach().clone())
    return seen


def test_before_the_trigger_it_is_sgd():
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    ours, theirs = NTASGD([a], 0.1, 0.01), torch.optim.SGD([b], 0.1, weight_decay=0.01)
    assert torch.equal(steps(ours, a, 5)[-1], steps(theirs, b, 5)[-1])


def test_the_average_is_the_mean_of_the_weights_since_the_trigger():
    p = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = NTASGD([p], 0.1, nonmono=1)
    steps(optimizer, p, 3)
    for nll in (5.0, 4.0, 6.0):
        optimizer.validated(nll)
    seen = steps(optimizer, p, 4)
    with optimizer.averaged():
        torch.testing.assert_close(p.detach(), torch.stack(seen).mean(dim=0))
    assert torch.equal(p, seen[-1])


@pytest.mark.parametrize(
    ("history", "nonmono", "triggers_at"),
    [
        ([5, 4, 3, 2, 1], 2, None),
        ([5, 4, 6], 2, None),  # nothing is older than the last two
        ([5, 4, 6, 6], 2, 3),  # 6 > 5
        ([5, 4, 4.5, 4.5, 4.5], 2, 4),  # 4.5 > min(5, 4), but not > 5 before
        ([1, 9, 9], 5, None),  # too early: fewer than nonmono + 1 validations
        ([1, 2], 0, 1),
    ],
)
def test_averaging_starts_when_validation_is_worse_than_the_best_but_the_last_n(
    history, nonmono, triggers_at
):
    # Merity et al. 2017, algorithm 1, worked by hand
    optimizer = NTASGD([nn.Parameter(torch.ones(1))], 0.1, nonmono=nonmono)
    for i, nll in enumerate(history):
        optimizer.validated(nll)
        assert optimizer.triggered == (triggers_at is not None and i >= triggers_at)


def test_its_state_dict_carries_averages_and_trigger():
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    first = NTASGD([p], 0.1, nonmono=0)
    first.validated(1.0)
    first.validated(2.0)
    assert first.triggered
    steps(first, p, 3)
    second = NTASGD([q], 0.1, nonmono=0)
    second.load_state_dict(first.state_dict())
    q.data.copy_(p.data)
    steps(first, p, 2)
    steps(second, q, 2)
    with first.averaged(), second.averaged():
        assert torch.equal(p, q)


def test_raw_weights_come_back_after_an_exception():
    p = nn.Parameter(torch.ones(2))
    optimizer = NTASGD([p], 0.1, nonmono=0)
    optimizer.validated(1.0)
    optimizer.validated(2.0)
    assert optimizer.triggered
    raw = steps(optimizer, p, 2)[-1]
    with pytest.raises(KeyboardInterrupt), optimizer.averaged():
        raise KeyboardInterrupt
    assert torch.equal(p, raw)


def test_one_cycle_rises_to_one_at_warmup_and_falls_to_its_floor():
    assert one_cycle(0, 0.25, 0.1) == pytest.approx(0.1)
    assert one_cycle(0.25, 0.25, 0.1) == pytest.approx(1)
    assert one_cycle(0.625, 0.25, 0.1) == pytest.approx(0.55)  # half of the fall: the middle
    assert one_cycle(1, 0.25, 0.1) == one_cycle(7, 0.25, 0.1) == pytest.approx(0.1)
    falling = [one_cycle(0.25 + i / 100, 0.25) for i in range(75)]
    assert falling == sorted(falling, reverse=True)


def test_constant_stays():
    assert {constant(p / 10) for p in range(11)} == {1.0}


def test_averaged_sgd_averages_from_the_first_step():
    p = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = NTASGD([p], 0.1)
    optimizer.start_averaging()
    seen = steps(optimizer, p, 4)
    with optimizer.averaged():
        torch.testing.assert_close(p.detach(), torch.stack(seen).mean(dim=0))


@pytest.mark.parametrize("total", [100, 1000])
def test_slanted_triangular_is_the_papers_formula_by_steps(total):
    """Howard and Ruder 2018, equation 3, with the paper's cut_frac and ratio."""
    cut = math.floor(total * 0.1)
    for t in range(total + 1):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1))
        assert slanted_triangular(t / total) == pytest.approx((1 + p * 31) / 32)


def test_each_schedule_is_a_factor_between_nothing_and_one_that_peaks_at_one():
    for schedule in SCHEDULES.values():
        values = [schedule(i / 1000) for i in range(-10, 1100)]
        assert max(values) == pytest.approx(1)
        assert min(values) > 0


def test_each_group_of_layers_learns_more_slowly_than_the_one_above():
    assert discriminative_rates(0.01, 3) == pytest.approx([0.01 / 2.6**2, 0.01 / 2.6, 0.01])
    assert discriminative_rates(0.01, 1) == [0.01]


def test_groups_unfreeze_one_an_epoch_from_the_top_until_all_learn():
    assert [unfrozen(epoch, 3) for epoch in range(5)] == [1, 2, 3, 3, 3]


class Quadratic:
    """A trainer whose loss is p ** 2 / 2 after a step of plain gradient descent."""

    def __init__(self):
        self.p, self.config = 1.0, dataclasses.replace(PRESETS["quick"], lr=0.5)
        self.loader, self.rates, self.schedule = [(None, None)] * 3, [], None

    def train_batch(self, inputs, targets):
        loss = self.p**2 / 2
        self.rates.append(self.config.lr * self.schedule(0.0))
        self.p -= self.rates[-1] * self.p
        if not math.isfinite(self.p):
            raise FloatingPointError
        return loss


def test_the_range_test_raises_the_rate_until_the_loss_runs_away():
    trainer = Quadratic()
    wanted = lr_finder.rates(100, 1e-3, 1e3)
    tried, losses = lr_finder.sweep(trainer, wanted)
    assert wanted[0] == pytest.approx(1e-3)
    assert wanted[-1] == pytest.approx(1e3)
    assert trainer.rates == pytest.approx(wanted[: len(trainer.rates)])
    # gradient descent on p ** 2 / 2 diverges at rates above 2
    assert 2 < tried[-1] < 1e3
    assert losses[-1] > 1.5 * min(losses)
    assert 0.01 < lr_finder.suggest(tried, losses) < 2


def test_the_suggestion_is_where_the_loss_falls_fastest_by_the_logarithm():
    tried = lr_finder.rates(81, 1e-4, 1.0)
    # a logistic fall centred on 0.01, then a rise
    losses = [6 - 4 / (1 + math.exp(-3 * math.log(rate / 0.01))) + 20 * rate**2 for rate in tried]
    assert lr_finder.suggest(tried, losses) == pytest.approx(0.01, rel=0.15)  # a step is 12 %


def test_a_loss_that_only_rises_gives_no_suggestion():
    with pytest.raises(ValueError, match="begin with a lower rate"):
        lr_finder.suggest([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="no rise from 1 to 1 in 5 steps"):
        lr_finder.rates(5, 1, 1)


def test_the_commands_leave_pictures_and_a_rate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = [
        "--corpus",
        "numbers",
        "--embedding-size",
        "32",
        "--hidden-size",
        "32",
        "--threads",
        "1",
    ]
    assert commands.main(["find-lr", "--steps", "80", "--lowest", "1e-4", *tiny]) == 0
    out = capsys.readouterr().out
    assert 1e-4 < float(out.split("--lr ")[1].split(";")[0]) < 10
    assert commands.main(["schedules"]) == 0
    from matplotlib.image import imread

    for picture in ("runs/lr/solution-numbers.png", "runs/schedules.png"):
        assert imread(tmp_path / picture).std() > 0.05  # there are lines on it


class Outputs(nn.Module):
    """A model whose raw and dropped outputs are given, and whose NLL is 3."""

    def __init__(self, raw, dropped):
        super().__init__()
        self.raw, self.dropped = raw, dropped

    def features(self, inputs, hidden):
        return self.raw, self.dropped, "the state"

    def loss(self, features, targets):
        assert features is self.dropped
        return torch.tensor(3.0)


def test_ar_is_taken_of_the_dropped_output_and_tar_of_the_raw_one():
    """Merity et al. 2017, section 4.6, an element at a time."""
    raw, dropped = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    loss, nll, hidden = Objective(Outputs(raw, dropped), alpha=2.0, beta=0.5)(None, None, None)
    ar = sum(v**2 for v in dropped.flatten().tolist()) / 40
    jumps = [
        raw[b, t + 1, i].item() - raw[b, t, i].item()
        for b in range(2)
        for t in range(4)
        for i in range(4)
    ]
    tar = sum(jump**2 for jump in jumps) / len(jumps)
    assert loss.item() == pytest.approx(3 + 2 * ar + 0.5 * tar, rel=1e-5)
    assert (nll.item(), hidden) == (3.0, "the state")
