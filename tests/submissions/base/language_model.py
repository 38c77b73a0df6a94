"""A GRU over [time, batch]; forward returns scores [time, batch, vocabulary] and the state."""

from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 24)
        self.rnn = nn.GRU(24, 80)
        self.decoder = nn.Linear(80, vocab_size)

    def forward(self, inputs, state=None):
        features, state = self.rnn(self.embedding(inputs), state)
        return self.decoder(features), state
