"""A softmax of two levels, for vocabularies too large for a CPU.

The commonest words and one score for each cluster of rarer words share the first softmax, the
head; the words of a cluster share a softmax of their own (Grave et al. 2017). A training step
computes a cluster's scores only where the target is in it: with a word's rank following Zipf's
law this saves nine tenths of the work. Words are their ranks here, 0 the commonest; the model maps
ids to ranks. Rows are tied to the embedding; a cluster uses the first `size` features of its
words' embeddings, so that rare words cost less.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AdaptiveSoftmax(nn.Module):
    """Adaptive softmax tied to an embedding whose rows are in order of frequency.

    Args:
        weight: the embedding, float [vocabulary, features], shared rather than copied.
        cutoffs: rank at which each cluster begins, ascending; those past the vocabulary's end are
            left out, so that one setting serves a small vocabulary too.
        div_value: the features that cluster k uses are `features / div_value ** k`.
    """

    def __init__(
        self, weight: nn.Parameter, cutoffs: tuple[int, ...], div_value: float = 1.0
    ) -> None:
        super().__init__()
        vocab_size, features = weight.shape
        edges = [0, *(c for c in cutoffs if 0 < c < vocab_size), vocab_size]
        self.sizes = [end - start for start, end in pairwise(edges)]
        self.edges = edges
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        widths = [max(1, int(features / div_value**k)) for k in range(len(self.sizes) - 1)]
        self.clusters = nn.Linear(features, len(widths)) if widths else None
        self.projections = nn.ModuleList(nn.Linear(features, w, bias=False) for w in widths)

    @torch.no_grad()
    def set_unigram(self, probs: Tensor) -> None:
        """Start the biases so that a zero hidden vector gives these probabilities, by rank."""
        self.bias.copy_(probs.log())
        if self.clusters is not None:
            mass = [part.sum() for part in probs.split(self.sizes)[1:]]
            self.clusters.bias.copy_(torch.stack(mass).log())

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return -log p(target), float [n], of hidden [n, features] and ranks int64 [n]."""
        rows, biases = self.weight.split(self.sizes), self.bias.split(self.sizes)
        head_size = self.sizes[0]
        # A rarer word's place in the head is the score of its cluster.
        cluster = torch.bucketize(targets, targets.new_tensor(self.edges[1:-1]), right=True)
        in_head = torch.where(cluster == 0, targets, head_size + cluster - 1)
        nll = F.cross_entropy(self._head(hidden, rows, biases), in_head, reduction="none")
        for k, project in enumerate(self.projections, start=1):
            (where,) = (cluster == k).nonzero(as_tuple=True)
            if len(where):
                scores = self._tail(project(hidden[where]), rows[k], biases[k])
                inside = F.cross_entropy(scores, targets[where] - self.edges[k], reduction="none")
                nll = nll.index_add(0, where, inside)
        return nll

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of `nll`, a float scalar."""
        return self.nll(hidden, targets).mean()

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of every word by rank, float [n, vocabulary], of hidden [n, features]."""
        rows, biases = self.weight.split(self.sizes), self.bias.split(self.sizes)
        head = self._head(hidden, rows, biases).log_softmax(dim=-1)
        parts = [head[:, : self.sizes[0]]]
        for k, project in enumerate(self.projections, start=1):
            tail = self._tail(project(hidden), rows[k], biases[k]).log_softmax(dim=-1)
            parts.append(tail + head[:, self.sizes[0] + k - 1].unsqueeze(-1))
        return torch.cat(parts, dim=-1)

    def _head(self, hidden: Tensor, rows: tuple[Tensor, ...], biases: tuple[Tensor, ...]) -> Tensor:
        scores = F.linear(hidden, rows[0], biases[0])
        if self.clusters is not None:
            scores = torch.cat([scores, self.clusters(hidden)], dim=-1)
        return scores.float()

    @staticmethod
    def _tail(projected: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
        return F.linear(projected, rows[:, : projected.size(-1)], bias).float()
