"""An LSTM layer with dropout on its hidden-to-hidden weights.

The layer calls PyTorch's fused LSTM with the dropped matrix, so there is no Python loop over time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class WeightDropoutLSTM(nn.LSTM):
    """One LSTM layer, `weight_hh` under DropConnect (Merity et al. 2017, section 2).

    Args:
        input_size: features of the input.
        hidden_size: features of the output.
        weight_dropout: probability that an entry of the hidden-to-hidden matrix is dropped; one
            mask serves all rows and time steps of a window.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__(input_size, hidden_size, batch_first=True)
        self.weight_dropout = weight_dropout

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a window.

        Args:
            x: float [batch, time, input_size].
            state: `(h, c)`, float [1, batch, hidden_size] each; None starts from zeros.

        Returns:
            output float [batch, time, hidden_size] and the state after the last step.
        """
        if state is None:
            zeros = x.new_zeros(1, x.size(0), self.hidden_size)
            state = (zeros, zeros)
        dropped = F.dropout(self.weight_hh_l0, self.weight_dropout, self.training)
        weights = [self.weight_ih_l0, dropped, self.bias_ih_l0, self.bias_hh_l0]
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Not every CPU has an LSTM of mixed precision: this layer stays in single precision.
            with torch.autocast("cpu", enabled=False):
                return self._run(x.float(), state, weights)
        return self._run(x, state, weights)

    def _run(self, x: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        # Under mixed precision the last window's state may come in another precision than x.
        state = (state[0].to(x.dtype), state[1].to(x.dtype))
        output, h, c = torch.lstm(
            x, state, weights, True, 1, 0.0, self.training, False, self.batch_first
        )
        return output, (h, c)
