"""SGD that starts to average its iterates when validation stops improving."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


class NTASGD(torch.optim.SGD):
    """Non-monotonically triggered averaged SGD (Merity et al. 2017, section 3, algorithm 1).

    The averages live in the optimizer's state and the trigger's history in its parameter group,
    so that `state_dict()` carries everything a resumed run needs.

    Args:
        params: parameters to update.
        lr: learning rate.
        weight_decay: L2 penalty.
        nonmono: how many validations must pass without a new best before averaging starts.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        nonmono: int = 5,
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        self.param_groups[0].update(nonmono=nonmono, history=[], averaged_steps=0, triggered=False)

    @property
    def triggered(self) -> bool:
        """Whether averaging has begun."""
        return self.param_groups[0]["triggered"]

    def start_averaging(self) -> None:
        """Average from the next step on, whatever validation says: plain averaged SGD."""
        self.param_groups[0]["triggered"] = True

    def validated(self, nll: float) -> None:
        """Tell the optimizer a new validation NLL; it may start averaging."""
        group = self.param_groups[0]
        history = group["history"]
        earlier = history[: max(0, len(history) - group["nonmono"])]
        if earlier and nll > min(earlier):
            self.start_averaging()
        history.append(nll)

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ANN001, ANN201 - PyTorch's own signature
        """Take one SGD step and, once triggered, fold the new weights into the averages."""
        loss = super().step(closure)
        group = self.param_groups[0]
        if group["triggered"]:
            group["averaged_steps"] += 1
            for p in self._parameters():
                state = self.state[p]
                if "average" not in state:
                    state["average"] = p.detach().clone()
                else:
                    state["average"].lerp_(p, 1 / group["averaged_steps"])
        return loss

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model for the length of the `with` block."""
        swapped = [(p, p.data) for p in self._parameters() if "average" in self.state[p]]
        try:
            for p, _ in swapped:
                p.data = self.state[p]["average"]
            yield
        finally:
            for p, raw in swapped:
                p.data = raw

    def _parameters(self) -> Iterator[nn.Parameter]:
        for group in self.param_groups:
            yield from group["params"]
