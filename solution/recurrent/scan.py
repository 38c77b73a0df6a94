"""The linear recurrence c[t] = f[t] * c[t - 1] + b[t] as a scan in blocks.

A step of it is an affine map, and maps compose, so that steps of different blocks can be taken
together (Blelloch 1990, section 1.4): with blocks of sqrt(time) steps some 3 sqrt(time) operations
on large tensors do the work of `time` small ones, and none of it costs more arithmetic than
three plain passes. Where each operation has a price of its own, as on a GPU, that is what counts.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def linear_recurrence(f: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Compute c[t] = f[t] * c[t - 1] + b[t], with gradients for all three.

    Args:
        f: float [batch, time, features].
        b: float [batch, time, features].
        c: state before the first step, float [batch, features].

    Returns:
        float [batch, time, features], the state after every step.
    """
    return _LinearRecurrence.apply(f, b, c)


class _LinearRecurrence(torch.autograd.Function):
    """The scan and its gradient, which is the same scan read backwards."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, b: Tensor, c: Tensor) -> Tensor:
        states = _scan(f, b, c)
        ctx.save_for_backward(f, c, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f, c, states = ctx.saved_tensors
        # d[t] = grad[t] + f[t + 1] * d[t + 1]
        later = F.pad(f[:, 1:], (0, 0, 0, 1))
        d = _scan(later.flip(1), grad.flip(1), torch.zeros_like(c)).flip(1)
        before = torch.cat([c.unsqueeze(1), states[:, :-1]], dim=1)
        return d * before, d, d[:, 0] * f[:, 0]


def _scan(f: Tensor, b: Tensor, c: Tensor) -> Tensor:
    batch, time, features = f.shape
    block = math.isqrt(time - 1) + 1
    # A last block that is not full is filled up with steps that nothing reads.
    room = (batch, -(-time // block), block, features)
    decay, states = (f.new_zeros(room) for _ in range(2))
    decay.view(batch, -1, features)[:, :time] = f
    states.view(batch, -1, features)[:, :time] = b
    # Each block alone, from a state of zeros: `decay` becomes the product of its steps so far.
    for i in range(1, block):
        states[:, :, i].addcmul_(decay[:, :, i], states[:, :, i - 1])
        decay[:, :, i].mul_(decay[:, :, i - 1])
    for k in range(room[1]):
        states[:, k].addcmul_(decay[:, k], c.unsqueeze(1))
        c = states[:, k, -1]
    return states.view(batch, -1, features)[:, :time]
