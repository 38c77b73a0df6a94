"""A causal Transformer layer that is used as a recurrent one.

Its state is what it has read lately, so that it reads on from window to window and text can be
written a word at a time (the memory of Dai et al. 2019, section 3.2). Every word sees the same
number of words before it, however the text is cut into windows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor]
SPAN = 128  # words that a word sees, itself among them, in each layer


class TransformerLayer(nn.Module):
    """Self-attention over the last `SPAN` words and a feed-forward net, each normalised after.

    Vaswani et al. 2017, section 3.1, with positions by rotation (Su et al. 2021, section 3.4),
    which know distances only and so need no count of the words before the window.

    Args:
        size: features of input and output.
        inner_size: features inside the feed-forward net.
        heads: attention heads.

    Raises:
        ValueError: `size` is not an even number of features a head.
    """

    def __init__(self, size: int, inner_size: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or size % (2 * heads):
            raise ValueError(f"{size} features cannot be shared by {heads} heads in even parts")
        self.heads = heads
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.widen, self.narrow = nn.Linear(size, inner_size), nn.Linear(inner_size, size)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a window.

        Args:
            x: float [batch, time, size].
            state: `(memory,)`, float [steps, batch, size], the layer's last inputs; None for none.

        Returns:
            output float [batch, time, size] and the state after the last step.
        """
        seen = self._seen(x, state)
        q, k, v = self._heads(seen, x.size(1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=_visible(q, k))
        x = self.attention_norm(x + self.out(mixed.transpose(1, 2).flatten(2)))
        x = self.feed_forward_norm(x + self.narrow(F.gelu(self.widen(x))))
        return x, (seen[:, -(SPAN - 1) :].transpose(0, 1),)

    def attention(self, x: Tensor, state: State | None = None) -> Tensor:
        """Return the weights that `forward` gives each word seen, to be drawn.

        Returns:
            float [batch, heads, time, steps + time], each row summing to 1.
        """
        q, k, _ = self._heads(self._seen(x, state), x.size(1))
        scores = q @ k.transpose(2, 3) / q.size(3) ** 0.5
        return scores.masked_fill(~_visible(q, k), -torch.inf).softmax(dim=3)

    @staticmethod
    def _seen(x: Tensor, state: State | None) -> Tensor:
        if state is None:
            return x
        return torch.cat([state[0].to(x.dtype).transpose(0, 1), x], dim=1)

    def _heads(self, seen: Tensor, time: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries [batch, heads, time, features] of the window, keys and values of all."""
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.queries_keys_values(seen).chunk(3, dim=2)
        )
        q, k = rotate(q), rotate(k)
        return q[:, :, -time:], k, v


def rotate(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn pairs of features by angles that grow with the position (Su et al. 2021, eq. 34).

    The dot product of two turned vectors depends on their positions by their distance alone.

    Args:
        x: float [..., time, features], `features` even; feature i is paired with i + features / 2.
        base: the slowest pair takes about 2 pi * base steps for a turn.

    Returns:
        float [..., time, features].
    """
    time, half = x.size(-2), x.size(-1) // 2
    rates = base ** -(torch.arange(half, device=x.device) / half)
    angles = torch.arange(time, device=x.device)[:, None] * rates
    sin, cos = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def _visible(q: Tensor, k: Tensor) -> Tensor:
    """Return which word sees which, bool [time, steps + time]: itself and the span before it."""
    time, steps = q.size(2), k.size(2)
    position = torch.arange(steps, device=q.device)
    distance = position[-time:, None] - position
    return (distance >= 0) & (distance < SPAN)
