"""Columns of text, as in PyTorch's examples: inputs [time, batch], targets flat, one word lost."""

import numpy as np
import torch


class LanguageModelDataLoader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.bptt = 20

    def batchify(self, stream):
        rows = len(stream) // self.batch_size
        return stream[: rows * self.batch_size].view(self.batch_size, -1).t().contiguous()

    def __iter__(self):
        order = np.arange(len(self.dataset))
        if self.shuffle:
            np.random.shuffle(order)
        source = self.batchify(torch.from_numpy(np.concatenate(self.dataset[order])))
        for i in range(0, len(source) - 1, self.bptt):
            length = min(self.bptt, len(source) - 1 - i)
            yield source[i : i + length], source[i + 1 : i + 1 + length].reshape(-1)
