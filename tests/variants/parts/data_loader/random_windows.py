"""Windows from random places, as many words an epoch as the text has: [batch, time]."""

import numpy as np
import torch


class LanguageModelDataLoader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.text = np.concatenate(dataset)
        self.batch_size, self.window, self.shuffle = batch_size, 20, shuffle

    def __len__(self):
        return len(self.text) // (self.batch_size * self.window)

    def get_batch(self, starts):
        x = np.stack([self.text[i : i + self.window] for i in starts])
        y = np.stack([self.text[i + 1 : i + 1 + self.window] for i in starts])
        return torch.from_numpy(x), torch.from_numpy(y)

    def __iter__(self):
        last = len(self.text) - self.window
        for i in range(len(self)):
            if self.shuffle:
                yield self.get_batch(np.random.randint(0, last, self.batch_size))
            else:
                yield self.get_batch((i * self.batch_size + np.arange(self.batch_size)) * 20)
