"""Rows of text: inputs and targets [batch, time]; the last window is dropped if it is not full."""

import random

import numpy as np
import torch

WINDOW = 20


class LanguageModelDataLoader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.articles = list(dataset)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self):
        words = sum(len(article) for article in self.articles)
        return (words - 1) // self.batch_size // WINDOW

    def __iter__(self):
        if self.shuffle:
            random.shuffle(self.articles)  # a list of its own, not the caller's array
        text = torch.tensor(np.concatenate(self.articles), dtype=torch.long)
        width = len(self) * WINDOW
        rows = [slice(i * width, (i + 1) * width) for i in range(self.batch_size)]
        inputs = torch.stack([text[:-1][row] for row in rows])
        targets = torch.stack([text[1:][row] for row in rows])
        yield from zip(inputs.split(WINDOW, dim=1), targets.split(WINDOW, dim=1), strict=True)
