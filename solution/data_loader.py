"""Batches of windows over a shuffled corpus of articles."""

from collections.abc import Iterator

import numpy as np
import torch
from regularization import window_length
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
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.bptt = bptt
        tokens = sum(len(article) for article in dataset)
        if tokens <= batch_size:
            raise ValueError(
                f"{tokens} tokens give no target to each of {batch_size} rows: "
                "use a smaller batch_size or more text"
            )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch of windows.

        Yields:
            inputs: int64 [batch, time].
            targets: int64 [batch, time], the word after each input: `targets[b, t]` follows
                `inputs[b, t]` in the stream, and so equals `inputs[b, t + 1]`.
        """
        count = len(self.dataset)
        order = torch.randperm(count).tolist() if self.shuffle else range(count)
        stream = torch.from_numpy(np.concatenate([self.dataset[i] for i in order]).astype(np.int64))
        steps = (len(stream) - 1) // self.batch_size
        used = steps * self.batch_size
        inputs = stream[:used].view(self.batch_size, steps)
        targets = stream[1 : used + 1].view(self.batch_size, steps)
        start = 0
        while start < steps:
            length = self._window()
            yield inputs[:, start : start + length], targets[:, start : start + length]
            start += length

    def _window(self) -> int:
        return window_length(self.bptt) if self.shuffle else self.bptt
