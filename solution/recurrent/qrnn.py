"""A quasi-recurrent layer: gates by convolution over time, then forget-gate pooling.

Bradbury et al. 2017, section 2. All matrix products run over the whole window at once; only the
element-wise pooling is a recurrence, and that is a scan.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .scan import linear_recurrence

State = tuple[Tensor, Tensor]


class QRNN(nn.Module):
    """One QRNN layer with an output gate ("fo-pooling").

    Args:
        input_size: features of the input.
        hidden_size: features of the output.
        window: how many time steps the gates see, 1 or 2.
        weight_dropout: probability that an entry of the gates' matrix is dropped.

    Raises:
        ValueError: `window` is neither 1 nor 2.
    """

    def __init__(
        self, input_size: int, hidden_size: int, window: int = 2, weight_dropout: float = 0.0
    ) -> None:
        super().__init__()
        if window not in (1, 2):
            raise ValueError(f"a QRNN's window is 1 or 2 time steps, not {window}")
        self.input_size, self.hidden_size, self.window = input_size, hidden_size, window
        self.weight_dropout = weight_dropout
        self.gates = nn.Linear(window * input_size, 3 * hidden_size)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a window.

        Args:
            x: float [batch, time, input_size].
            state: `(last input, c)`, float [1, batch, input_size] and [1, batch, hidden_size], laid
                out as an LSTM's; None starts from zeros.

        Returns:
            output float [batch, time, hidden_size] and the state after the last step.
        """
        if state is None:
            state = (
                x.new_zeros(1, x.size(0), self.input_size),
                x.new_zeros(1, x.size(0), self.hidden_size),
            )
        seen = x
        if self.window == 2:
            # Under mixed precision the last window's input may come in another precision than x.
            last = state[0].to(x.dtype).transpose(0, 1)
            seen = torch.cat([x, torch.cat([last, x[:, :-1]], dim=1)], dim=2)
        weight = F.dropout(self.gates.weight, self.weight_dropout, self.training)
        gates = F.linear(seen, weight, self.gates.bias)
        # Half precision would lose a gate's last steps before 1; the pooling is cheap anyway.
        z, f, o = gates.to(state[1].dtype).chunk(3, dim=2)
        z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
        c = forget_pool(z, f, state[1][0])
        return o * c, (x[:, -1:].transpose(0, 1), c[:, -1].unsqueeze(0))


def forget_pool(z: Tensor, f: Tensor, c: Tensor) -> Tensor:
    """Compute c[t] = f[t] * c[t - 1] + (1 - f[t]) * z[t].

    Args:
        z: candidates, float [batch, time, hidden].
        f: forget gates in (0, 1), float [batch, time, hidden].
        c: state before the first step, float [batch, hidden].

    Returns:
        float [batch, time, hidden], the state after every step.
    """
    return linear_recurrence(f, (1 - f) * z, c)
