"""A GRU over [batch, time]; forward gives the scores [B, T, V] alone."""

import torch


class LanguageModel(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, 24)
        self.rnn = torch.nn.GRU(24, 64, batch_first=True)
        self.decoder = torch.nn.Linear(64, vocab_size)

    def forward(self, x):
        return self.decoder(self.rnn(self.embedding(x))[0])
