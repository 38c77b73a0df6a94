"""Windows over the joined articles: inputs [time, batch], targets flat."""

import numpy as np
import torch

WINDOW = 40


class LanguageModelDataLoader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __iter__(self):
        count = len(self.dataset)
        order = np.random.permutation(count) if self.shuffle else range(count)
        stream = torch.from_numpy(np.concatenate([self.dataset[i] for i in order]))
        steps = (len(stream) - 1) // self.batch_size
        x, y = (stream[k : k + steps * self.batch_size].view(-1, steps).t() for k in (0, 1))
        for start in range(0, steps, WINDOW):
            yield x[start : start + WINDOW], y[start : start + WINDOW].reshape(-1)
