"""A classifier of passages: an encoder, concat pooling, and a head of two layers.

Howard and Ruder 2018, section 3.3. The encoder is a language model less its output layer, or a
table of word vectors: anything from ids [batch, time] to features [batch, time, features].
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .batches import by_length
from .task import Passages

HIDDEN = 50
HEAD_DROPOUT = (0.4, 0.1)  # before either layer of the head (fast.ai's, for the paper)


class LanguageModelEncoder(nn.Module):
    """A language model's last hidden states.

    Args:
        model: has `features(inputs, hidden)`, `embedding` and `layers`, as `LanguageModel` has.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float [batch, time, embedding_size], after output dropout, of int64 inputs."""
        return self.model.features(inputs, None)[1]


class Head(nn.Sequential):
    """Batch norm, dropout, linear, ReLU; batch norm, dropout, linear.

    Maps float [batch, features] to logits, float [batch, classes].
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(
            nn.BatchNorm1d(features),
            nn.Dropout(HEAD_DROPOUT[0]),
            nn.Linear(features, HIDDEN),
            nn.ReLU(),
            nn.BatchNorm1d(HIDDEN),
            nn.Dropout(HEAD_DROPOUT[1]),
            nn.Linear(HIDDEN, classes),
        )


class Classifier(nn.Module):
    """Encoder, concat pooling, head.

    Args:
        encoder: maps int64 [batch, time] to float [batch, time, features].
        features: of the encoder.
        classes: labels to choose from.
    """

    def __init__(self, encoder: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = Head(3 * features, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Score the labels of padded passages.

        Args:
            inputs: int64 [batch, time].
            lengths: int64 [batch], real words of each row, at least 1.

        Returns:
            float [batch, classes], logits.
        """
        return self.head(pool(self.encoder(inputs), lengths))


def pool(features: Tensor, lengths: Tensor) -> Tensor:
    """Join the last step, the maximum and the mean over a row's real steps (ibid., section 3.3).

    Args:
        features: float [batch, time, features]; steps from a row's length on are ignored, whatever
            they hold.
        lengths: int64 [batch].

    Returns:
        float [batch, 3 * features].

    Raises:
        ValueError: a length below 1 or beyond `time`.
    """
    time = features.size(1)
    if int(lengths.min()) < 1 or int(lengths.max()) > time:
        raise ValueError(f"lengths of 1 to {time} fit {time} time steps, not {lengths.tolist()}")
    padding = (torch.arange(time, device=lengths.device) >= lengths[:, None]).unsqueeze(2)
    last = features[torch.arange(len(lengths), device=lengths.device), lengths - 1]
    highest = features.masked_fill(padding, -torch.inf).amax(dim=1)
    mean = features.masked_fill(padding, 0.0).sum(dim=1) / lengths[:, None]
    return torch.cat([last, highest, mean], dim=1)


@dataclass(frozen=True, eq=False)
class Pooled:
    """Passages as a frozen encoder leaves them, so that it has to read them once only.

    features: float [passages, 3 * features]. lengths, labels, articles: as of `Passages`.
    """

    features: Tensor
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    articles: NDArray[np.int64]

    def batch(self, where: NDArray[np.int64]) -> tuple[Tensor]:
        """Return some passages' features, float [batch, 3 * features]."""
        return (self.features[torch.from_numpy(where)],)


@torch.no_grad()
def read(encoder: nn.Module, passages: Passages, batch_size: int = 64) -> Pooled:
    """Let an encoder read passages, in evaluation mode."""
    encoder.eval()
    rows: list[Tensor] = [torch.empty(0)] * len(passages)
    for where in by_length(passages.lengths, batch_size):
        inputs, lengths = passages.batch(where)
        for i, row in zip(where, pool(encoder(inputs), lengths), strict=True):
            rows[i] = row
    return Pooled(torch.stack(rows), passages.lengths, passages.labels, passages.articles)
