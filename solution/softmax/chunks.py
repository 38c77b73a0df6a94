"""A loss over many rows that never holds the scores of all of them.

A training step on 80 x 70 words and 33,278 scores a word would hold 750 MB of scores, and as much
again for their gradients. Here the loss and its gradients are computed a few rows at a time, and
only the gradients stay. It works for any output layer whose rows do not depend on each other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

SCORES = 2**24  # held at a time, 64 MiB; of smaller chunks the gradients take long to add up


def mean_in_chunks(
    nll: Callable[[Tensor, Tensor], Tensor],
    hidden: Tensor,
    targets: Tensor,
    parameters: Sequence[Tensor],
    rows: int,
) -> Tensor:
    """Return the mean of `nll(hidden, targets)`, `rows` rows at a time.

    The gradients are computed with the value, so it costs no more arithmetic than the plain way.
    They can be had once, for `hidden` and `parameters` and nothing else.

    Args:
        nll: takes float [n, features] and int64 [n], returns float [n].
        hidden: float [n, features].
        targets: int64 [n].
        parameters: what `nll` computes with and shall have gradients.
        rows: rows of a chunk, at least 1.

    Returns:
        float scalar tensor.
    """
    if not torch.is_grad_enabled():
        parts = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.stack([nll(h, t).sum() for h, t in parts]).sum() / len(targets)
    return _MeanInChunks.apply(nll, targets, rows, hidden, *parameters)


class _MeanInChunks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        nll: Callable[[Tensor, Tensor], Tensor],
        targets: Tensor,
        rows: int,
        hidden: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        grads = [torch.zeros_like(p) for p in parameters]
        hidden_grad = torch.empty_like(hidden)
        for start in range(0, len(targets), rows):
            here = slice(start, start + rows)
            with torch.enable_grad():
                h = hidden[here].detach().requires_grad_()
                part = nll(h, targets[here]).sum()
            hidden_grad[here], *new = torch.autograd.grad(part, [h, *parameters])
            for grad, more in zip(grads, new, strict=True):
                grad += more
            total += part.detach()
        ctx.save_for_backward(hidden_grad, *grads)
        ctx.count = len(targets)
        return total / ctx.count

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        factor = grad / ctx.count
        return (None, None, None, *(g * factor for g in ctx.saved_tensors))
