"""A GRU over [time, batch], weights not tied; a pair of scores [T, B, V] and state."""

from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, 24)
        self.rnn = nn.GRU(24, 64)
        self.decoder = nn.Linear(64, vocab_size)

    def forward(self, x, hidden=None):
        out, hidden = self.rnn(self.embedding(x), hidden)
        return self.decoder(out), hidden
