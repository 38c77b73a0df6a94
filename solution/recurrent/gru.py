"""A GRU layer with dropout on its hidden-to-hidden weights, by PyTorch's fused GRU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor]


class WeightDropoutGRU(nn.GRU):
    """One GRU layer (Cho et al. 2014), `weight_hh` under DropConnect as in the AWD-LSTM.

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
            state: `(h,)`, float [1, batch, hidden_size]; None starts from zeros.

        Returns:
            output float [batch, time, hidden_size] and the state after the last step.
        """
        h = x.new_zeros(1, x.size(0), self.hidden_size) if state is None else state[0].to(x.dtype)
        dropped = F.dropout(self.weight_hh_l0, self.weight_dropout, self.training)
        weights = [self.weight_ih_l0, dropped, self.bias_ih_l0, self.bias_hh_l0]
        output, h = torch.gru(x, h, weights, True, 1, 0.0, self.training, False, self.batch_first)
        return output, (h,)
