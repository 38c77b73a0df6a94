"""A torch DataLoader over a Dataset of windows, [batch, time], in an order of their own."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Windows(Dataset):
    def __init__(self, dataset, length=20):
        self.text = torch.from_numpy(np.concatenate(dataset))
        self.length = length

    def __len__(self):
        return (len(self.text) - 1) // self.length

    def __getitem__(self, i):
        start = i * self.length
        window = self.text[start : start + self.length + 1]
        return window[:-1], window[1:]


class LanguageModelDataLoader(DataLoader):
    def __init__(self, dataset, batch_size, shuffle=True):
        super().__init__(Windows(dataset), batch_size, shuffle=shuffle)
