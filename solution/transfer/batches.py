"""Batches of passages of similar length, padded at the end.

Covered: which passages stand together ("sortish", as fast.ai named it: nearly sorted, and new each
epoch), and padding. Not covered: what is done with the padding, which is `classifier.pool`'s.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POOL = 20  # batches among which passages are sorted


def sortish(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Draw an epoch's batches: shuffled, sorted by length within large pools, cut, shuffled again.

    Args:
        lengths: int64 [passages].
        batch_size: passages of a batch at least, as far as there are so many: what is left over
            is spread, since batch norm cannot learn from a batch of one.
        seed: the same seed and epoch give the same batches.
        epoch: another epoch gives others.

    Returns:
        Places of the passages of each batch, int64 [batch]; every passage once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for pool in np.array_split(order, max(1, len(order) // (POOL * batch_size))):
        batches += _cut(pool[np.argsort(lengths[pool], kind="stable")], batch_size)
    return [batches[i] for i in rng.permutation(len(batches))]


def by_length(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Return batches for measuring: all passages once, sorted by length, int64 [batch] each."""
    return _cut(np.argsort(lengths, kind="stable"), batch_size)


def pad(rows: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Put rows of different lengths into one tensor.

    Returns:
        inputs: int64 [batch, time], id 0 after a row's end; `time` is the longest row's.
        lengths: int64 [batch].
    """
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = torch.from_numpy(row)
    return inputs, lengths


def _cut(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    return np.array_split(order, max(1, len(order) // batch_size))
