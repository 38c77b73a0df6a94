"""Softmax over the whole vocabulary: the plain one, and one that is not bound by its rank."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .chunks import SCORES, mean_in_chunks


class FullSoftmax(nn.Module):
    """Scores every word with its embedding (Press and Wolf 2017; Inan et al. 2017).

    Args:
        weight: float [vocabulary, features]; the embedding, shared, where weights are tied.
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
        return F.cross_entropy(self.logits(hidden), targets, reduction="none")

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of `nll`, a float scalar, without ever holding all scores."""
        rows = max(1, SCORES // len(self.weight))
        return mean_in_chunks(self.nll, hidden, targets, [self.weight, self.bias], rows)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of every word, float [n, vocabulary], of hidden [n, features]."""
        return self.logits(hidden).log_softmax(dim=-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 [n, vocabulary], whose softmax is the probabilities."""
        return F.linear(hidden, self.weight, self.bias).float()


class SigSoftmax(FullSoftmax):
    """Weighs exp(z) by sigmoid(z) before it is normalised (Kanai et al. 2018, section 3.2).

    Log-probabilities are then no longer linear in `features` numbers: a softmax's cannot leave
    a subspace of `features + 1` dimensions, whatever the text.
    """

    @torch.no_grad()
    def set_unigram(self, probs: Tensor) -> None:
        """Start the biases so that a zero hidden vector gives these probabilities, [vocabulary].

        exp(z) * sigmoid(z) = p asks for z = log((p + sqrt(p^2 + 4 p)) / 2).
        """
        self.bias.copy_(((probs + (probs * probs + 4 * probs).sqrt()) / 2).log())

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 [n, vocabulary], whose softmax is the probabilities."""
        z = super().logits(hidden)
        return z + F.logsigmoid(z)
