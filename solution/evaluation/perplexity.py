"""Reads a text in order and gives the NLL of every word: the model as it was trained.

All systems of this room have this form: an iterator over tensors of NLLs, float64 [words] each,
of the second word of the text to its last, so that a whole split is read in bounded memory.
"""

from collections.abc import Iterable, Iterator

import torch
from recurrent import Hidden, Network
from torch import Tensor

WINDOW = 70  # words read at a time; it bounds memory and changes no result


def windows(ids: Tensor, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a text, int64 [words], into inputs and targets, int64 [1, time] each."""
    for start in range(0, len(ids) - 1, length):
        end = min(start + length, len(ids) - 1)
        yield ids[None, start:end], ids[None, start + 1 : end + 1]


@torch.no_grad()
def static(model: Network, ids: Tensor) -> Iterator[Tensor]:
    """Yield the NLL of each word given all before it.

    Args:
        model: the model, in evaluation mode.
        ids: int64 [words], on the model's device.
    """
    hidden: Hidden | None = None
    for inputs, targets in windows(ids, WINDOW):
        _, features, hidden = model.features(inputs, hidden)
        yield model.nll(features, targets)[0].double()


def mean_nll(parts: Iterable[Tensor]) -> float:
    """Return the mean of what a system yields; its exponential is the perplexity."""
    total, words = 0.0, 0
    for part in parts:
        total += part.sum().item()
        words += len(part)
    return total / words
