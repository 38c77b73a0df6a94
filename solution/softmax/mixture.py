"""A mixture of softmaxes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .chunks import SCORES, mean_in_chunks


class MixtureOfSoftmaxes(nn.Module):
    """Averages several softmaxes with weights that depend on the context (Yang et al. 2018, eq. 2).

    The softmaxes share their words' vectors and differ in the vector they are asked with, which
    is projected from the hidden one: `features` may so differ from the embedding's size.

    Args:
        weight: float [vocabulary, embedding]; the embedding, shared, where weights are tied.
        features: features of the hidden vectors.
        components: softmaxes.
    """

    def __init__(self, weight: nn.Parameter, features: int, components: int) -> None:
        super().__init__()
        self.components = components
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(weight.size(0)))
        self.prior = nn.Linear(features, components, bias=False)
        self.latent = nn.Linear(features, components * weight.size(1))

    @torch.no_grad()
    def set_unigram(self, probs: Tensor) -> None:
        """Start the biases so that zero latent vectors give these probabilities, [vocabulary]."""
        self.bias.copy_(probs.log())

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return -log p(target), float [n], of hidden [n, features] and targets int64 [n]."""
        logits = self._logits(hidden)
        words = targets[:, None, None].expand(-1, self.components, 1)
        inside = logits.gather(2, words).squeeze(2) - logits.logsumexp(dim=2)
        return -(self._log_prior(hidden) + inside).logsumexp(dim=1)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of `nll`, a float scalar, without ever holding all scores."""
        rows = max(1, SCORES // (len(self.weight) * self.components))
        return mean_in_chunks(self.nll, hidden, targets, list(self.parameters()), rows)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of every word, float [n, vocabulary], of hidden [n, features]."""
        inside = self._logits(hidden).log_softmax(dim=2)
        return (self._log_prior(hidden).unsqueeze(2) + inside).logsumexp(dim=1)

    def _logits(self, hidden: Tensor) -> Tensor:
        """Return float32 [n, components, vocabulary]."""
        latent = self.latent(hidden).tanh().unflatten(1, (self.components, -1))
        return F.linear(latent, self.weight, self.bias).float()

    def _log_prior(self, hidden: Tensor) -> Tensor:
        """Return the components' log-weights, float32 [n, components]."""
        return self.prior(hidden).float().log_softmax(dim=1)
