"""NT-ASGD against SGD and by hand; schedules at their corners."""

import pytest
import torch
from optim import NTASGD, constant, one_cycle
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
