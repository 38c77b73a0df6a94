"""A torch DataLoader whose collate function gives inputs and targets, both [time, batch]."""

import numpy as np
import torch
from torch.utils.data import DataLoader


def collate(windows):
    columns = torch.from_numpy(np.stack(windows, axis=1))
    return columns[:-1], columns[1:]


class LanguageModelDataLoader(DataLoader):
    def __init__(self, dataset, batch_size, shuffle=True):
        text = np.concatenate(dataset)
        windows = [text[i : i + 21] for i in range(0, len(text) - 20, 20)]
        super().__init__(windows, batch_size, shuffle, collate_fn=collate, drop_last=True)
