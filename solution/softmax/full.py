"""The plain softmax over the whole vocabulary, tied to the embedding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FullSoftmax(nn.Module):
    """Scores every word with its embedding (Press and Wolf 2017; Inan et al. 2017).

    Args:
        weight: the embedding, float [vocabulary, features], shared rather than copied.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(weight.size(0)))

    @torch.no_grad()
    def set_unigram(self, probs: Tensor) -> None:
        """Start the biases so that a zero hidden vector gives these probabilities, [vocabulary]."""
        self.bias.copy_(probs.log())

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return -log p(target), float [n], of hidden [n, features] and targets int64 [n]."""
        return F.cross_entropy(
            F.linear(hidden, self.weight, self.bias).float(), targets, reduction="none"
        )

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of every word, float [n, vocabulary], of hidden [n, features]."""
        return F.linear(hidden, self.weight, self.bias).float().log_softmax(dim=-1)
