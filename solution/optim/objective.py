"""What a training step minimises."""

from typing import Any

from regularization import activation_regularization, temporal_activation_regularization
from torch import Tensor, nn


class Objective(nn.Module):
    """Mean NLL, AR and TAR as one module with one `forward`, to be compiled or distributed whole.

    Args:
        model: has `features` and `loss` as `recurrent.Network` has.
        alpha: weight of activation regularisation.
        beta: weight of temporal activation regularisation.
    """

    def __init__(self, model: nn.Module, alpha: float, beta: float) -> None:
        super().__init__()
        self.model, self.alpha, self.beta = model, alpha, beta

    def forward(self, inputs: Tensor, targets: Tensor, hidden: Any) -> tuple[Tensor, Tensor, Any]:
        """Return loss and mean NLL, float scalars, and the hidden state after the window.

        Args:
            inputs: int64 [batch, time].
            targets: int64 [batch, time].
            hidden: the state to read on from, or None.
        """
        raw, dropped, hidden = self.model.features(inputs, hidden)
        loss = nll = self.model.loss(dropped, targets)
        # AR on the dropped output, TAR on the raw one (Merity et al. 2017, section 4.6).
        if self.alpha:
            loss = loss + activation_regularization(dropped.float(), self.alpha)
        if self.beta:
            loss = loss + temporal_activation_regularization(raw.float(), self.beta)
        return loss, nll, hidden
