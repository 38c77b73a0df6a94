"""A quasi-recurrent network: convolutions over time, then forget-gate pooling; [B, T, V] alone."""

import torch
import torch.nn.functional as F
from nets.pooling import pool
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 32)
        self.first, self.second = nn.Conv1d(32, 3 * 64, 2), nn.Conv1d(64, 3 * 64, 2)
        self.decoder = nn.Linear(64, vocab_size)

    def forward(self, x):
        x = self.embedding(x).transpose(1, 2)  # [batch, features, time]
        for layer in (self.first, self.second):
            z, f, o = layer(F.pad(x, (1, 0))).chunk(3, dim=1)
            x = torch.sigmoid(o) * pool(torch.tanh(z), torch.sigmoid(f))
        return self.decoder(x.transpose(1, 2))
