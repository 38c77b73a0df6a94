"""The loop that trains every network here, and keeps its best epoch.

Covered: groups of layers at rates of their own, slanted triangles, gradual unfreezing, the choice
of the epoch on held-out examples. Not covered: what is learned (a function gives the NLLs), other
devices than the CPU.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from optim import discriminative_rates, slanted_triangular, unfrozen
from torch import Tensor, nn

from .batches import by_length, sortish

BETAS = (0.7, 0.99)  # Adam's (Howard and Ruder 2018, section 4.1)


class Examples(Protocol):
    """What a network learns from: passages, or what an encoder made of them."""

    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]

    def batch(self, where: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Return the network's arguments for some examples."""
        ...


# Takes a network, examples and places; returns float [n], an NLL each, of labels or of words.
NLLs = Callable[[Any, Any, NDArray[np.int64]], Tensor]


@dataclass(frozen=True, eq=False)
class Course:
    """How a network is trained.

    groups: the parameters that learn, lowest layers first. lr: of the highest group at its peak;
    each lower one has `factor` less. gradual: whether groups join from the top, one an epoch.
    clip: bound of the gradient's norm.
    """

    groups: Sequence[Sequence[nn.Parameter]]
    lr: float
    epochs: int
    batch_size: int = 32
    factor: float = 1.0
    gradual: bool = False
    clip: float = 1.0
    weight_decay: float = 0.01

    def phases(self) -> list[tuple[int, int]]:
        """Return how many groups learn, counted from the top, and for how many epochs.

        Each phase has a triangle of its own, as in the paper's code: with a single one, the lower
        layers would join when its peak is over.
        """
        count = len(self.groups)
        learning = [unfrozen(e, count) if self.gradual else count for e in range(self.epochs)]
        return [(learns, len(list(same))) for learns, same in groupby(learning)]

    def optimizer(self) -> torch.optim.AdamW:
        """Return the optimizer; each group's rate at the peak stands in it as `peak`."""
        rates = discriminative_rates(self.lr, len(self.groups), self.factor)
        groups = [
            {"params": list(group), "lr": rate, "peak": rate}
            for group, rate in zip(self.groups, rates, strict=True)
        ]
        # fused: a step goes over millions of embeddings.
        return torch.optim.AdamW(groups, betas=BETAS, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True)
class Fitted:
    """Which epoch was kept, counted from 1, and the mean held-out NLL after each epoch."""

    epoch: int
    held_out: tuple[float, ...]


def fit(
    module: nn.Module,
    nlls: NLLs,
    train: Examples,
    held_out: Examples,
    course: Course,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Train a network, and leave it as it was after the epoch that was best on held-out examples.

    Args:
        module: the network; it ends in evaluation mode, with nothing frozen.
        nlls: gives the NLLs whose mean is made small.
        train: examples to learn from, at least 2.
        held_out: examples to choose the epoch by, at least 1.
        course: how.
        seed: of the batches; dropout draws from torch's global generator.
        say: is told a line an epoch.

    Raises:
        FloatingPointError: the held-out NLL is not finite.
    """
    optimizer = course.optimizer()
    history: list[float] = []
    kept: dict[str, Tensor] = {}
    for learning, epochs in course.phases():
        freeze(course.groups, learning)
        for epoch in range(epochs):
            module.train()
            batches = sortish(train.lengths, course.batch_size, seed, len(history))
            for i, where in enumerate(batches):
                height = slanted_triangular((epoch + i / len(batches)) / epochs)
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * height
                optimizer.zero_grad()
                nlls(module, train, where).mean().backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), course.clip)
                optimizer.step()
            nll = mean_nll(module, nlls, held_out)
            if not math.isfinite(nll):
                raise FloatingPointError(
                    f"the held-out NLL is {nll} after epoch {len(history) + 1} at learning rate "
                    f"{course.lr:.3g}: try a lower one"
                )
            if nll < min(history, default=math.inf):
                kept = {name: t.clone() for name, t in module.state_dict().items()}
            history.append(nll)
            of_groups = f", {learning} of {len(course.groups)} groups" if course.gradual else ""
            say(f"epoch {len(history)}/{course.epochs}{of_groups}: held-out NLL {nll:.3f}")
    freeze(course.groups, len(course.groups))
    module.load_state_dict(kept)
    module.eval()
    return Fitted(1 + int(np.argmin(history)), tuple(history))


def freeze(groups: Sequence[Sequence[nn.Parameter]], learning: int) -> None:
    """Let the `learning` highest groups learn and freeze the others, whose gradients are dropped.

    Nothing is computed backwards below the lowest group that learns.
    """
    for i, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(i >= len(groups) - learning)
            parameter.grad = None


@torch.no_grad()
def mean_nll(module: nn.Module, nlls: NLLs, examples: Examples, batch_size: int = 64) -> float:
    """Return the mean NLL of examples, in nats, in evaluation mode."""
    module.eval()
    total = count = 0.0
    for where in by_length(examples.lengths, batch_size):
        values = nlls(module, examples, where)
        total += values.sum(dtype=torch.float64).item()
        count += values.numel()
    return total / count


@torch.no_grad()
def predictions(module: nn.Module, examples: Examples, batch_size: int = 64) -> NDArray[np.int64]:
    """Return the label with the highest score of each example, int64 [examples]."""
    module.eval()
    labels = np.empty(len(examples.lengths), dtype=np.int64)
    for where in by_length(examples.lengths, batch_size):
        labels[where] = module(*examples.batch(where)).argmax(dim=1).numpy()
    return labels
