"""A network over the last ten words (Bengio et al. 2003), as a causal convolution; [B, T, V]."""

import torch.nn.functional as F
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 24)
        self.hidden = nn.Conv1d(24, 64, kernel_size=10)
        self.decoder = nn.Linear(64, vocab_size)

    def forward(self, x):
        x = F.pad(self.embedding(x).mT, (9, 0))
        return self.decoder(F.relu(self.hidden(x)).mT)
