"""LSTM cell, GRU cell and dropout, written out from their equations.

A cell takes one step; `unroll` walks it along a window. All of it is here to be read: PyTorch's
fused layers compute the same and are many times faster (`recurrent` uses them).
"""

import math

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class GatedCell(nn.Module):
    """What the two cells share: their matrices, by the names and in the layout of PyTorch's cells.

    Args:
        gates: how many gates and candidates stand stacked in a matrix.
        input_size: features of the input.
        hidden_size: features of the output.
    """

    def __init__(self, gates: int, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(gates * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(gates * hidden_size))
        bound = 1 / math.sqrt(hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def products(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return what input and hidden state each give the gates, float [batch, gates * hidden]."""
        return x @ self.weight_ih.T + self.bias_ih, h @ self.weight_hh.T + self.bias_hh

    def zeros(self, x: Tensor) -> Tensor:
        """Return the state before the first word, float [batch, hidden_size]."""
        return x.new_zeros(x.size(0), self.hidden_size)


class LSTMCell(GatedCell):
    """One step of an LSTM (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000).

    The gates stand in the order input, forget, candidate, output, as in `nn.LSTMCell`, so that
    `load_state_dict` maps weights over.

    Args:
        input_size: features of the input.
        hidden_size: features of the output.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(4, input_size, hidden_size)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Take one step.

        Args:
            x: float [batch, input_size].
            state: `(h, c)`, float [batch, hidden_size] each; None starts from zeros.

        Returns:
            The next `(h, c)`; `h` is the output.
        """
        h, c = state if state is not None else (self.zeros(x), self.zeros(x))
        from_x, from_h = self.products(x, h)
        i, f, g, o = (from_x + from_h).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GRUCell(GatedCell):
    """One step of a GRU (Cho et al. 2014), as `nn.GRUCell` has it.

    The reset gate acts on the product of matrix and hidden state, not on the hidden state before
    the product. The gates stand in the order reset, update, candidate.

    Args:
        input_size: features of the input.
        hidden_size: features of the output.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(3, input_size, hidden_size)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Take one step.

        Args:
            x: float [batch, input_size].
            state: `(h,)`, float [batch, hidden_size]; None starts from zeros.

        Returns:
            The next `(h,)`, which is also the output.
        """
        (h,) = state if state is not None else (self.zeros(x),)
        from_x, from_h = self.products(x, h)
        x_r, x_z, x_n = from_x.chunk(3, dim=1)
        h_r, h_z, h_n = from_h.chunk(3, dim=1)
        r = (x_r + h_r).sigmoid()
        z = (x_z + h_z).sigmoid()
        n = (x_n + r * h_n).tanh()
        return ((1 - z) * n + z * h,)


def unroll(cell: GatedCell, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Walk a cell along a window.

    Args:
        cell: an `LSTMCell` or `GRUCell`.
        x: float [batch, time, input_size], at least one step.
        state: what an earlier call returned, to read on from there; None starts from zeros.

    Returns:
        output float [batch, time, hidden_size] and the state after the last step.
    """
    outputs = []
    for step in x.unbind(dim=1):
        state = cell(step, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state


class Dropout(nn.Module):
    """Zeroes features at random while training (Srivastava et al. 2014, section 4).

    Kept values are divided by 1 - p at once (ibid., section 10), which keeps the mean, so that
    evaluation has nothing to do.

    Args:
        p: probability that a value is dropped, 0 <= p < 1.

    Raises:
        ValueError: `p` lies outside.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout's p is a probability from 0 to below 1, not {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, float of any shape, under a mask of its own: one draw a value."""
        if not self.training or self.p == 0:
            return x
        kept = torch.bernoulli(torch.full_like(x, 1 - self.p))
        return x * kept / (1 - self.p)
