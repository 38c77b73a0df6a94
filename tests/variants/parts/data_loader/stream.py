"""A torch DataLoader over an IterableDataset that makes the batches itself: rows that read on."""

import torch
from torch.utils.data import DataLoader, IterableDataset


class Rows(IterableDataset):
    def __init__(self, dataset, batch_size, shuffle):
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __iter__(self):
        count = len(self.dataset)
        order = torch.randperm(count).tolist() if self.shuffle else range(count)
        text = torch.cat([torch.from_numpy(self.dataset[i]) for i in order])
        width = (len(text) - 1) // self.batch_size
        x, y = (text[k : k + width * self.batch_size].view(-1, width) for k in (0, 1))
        for t in range(0, width, 20):
            yield x[:, t : t + 20], y[:, t : t + 20]


class LanguageModelDataLoader(DataLoader):
    def __init__(self, dataset, batch_size, shuffle=True):
        super().__init__(Rows(dataset, batch_size, shuffle), batch_size=None)
