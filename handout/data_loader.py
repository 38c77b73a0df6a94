"""Batches of windows over a shuffled corpus of articles."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor


class LanguageModelDataLoader:
    """Iterates over `(inputs, targets)`, anew each epoch.

    Every epoch joins the articles into one stream (in a new order if `shuffle`), lays the stream
    out as `batch_size` rows that each read on from left to right, and cuts the rows into windows.

    Args:
        dataset: object array of int64 arrays, one an article.
        batch_size: rows of a batch.
        shuffle: whether articles come in a new order, and windows vary in length, each epoch.
        bptt: length of a window in time steps; the mean length where windows vary.

    Raises:
        ValueError: the articles hold too few tokens for one target a row.
    """

    def __init__(
        self, dataset: np.ndarray, batch_size: int, shuffle: bool = True, bptt: int = 70
    ) -> None:
        raise NotImplementedError("LanguageModelDataLoader.__init__: see ASSIGNMENT.md, part 1")

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch of windows.

        Yields:
            inputs: int64 [batch, time].
            targets: int64 [batch, time], the word after each input: `targets[b, t]` follows
                `inputs[b, t]` in the stream, and so equals `inputs[b, t + 1]`.
        """
        raise NotImplementedError("LanguageModelDataLoader.__iter__: see ASSIGNMENT.md, part 1")
