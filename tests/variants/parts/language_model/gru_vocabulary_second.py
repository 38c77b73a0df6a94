"""A GRU over [batch, time]; scores [B, V, T], as CrossEntropyLoss takes them."""

from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 24)
        self.rnn = nn.GRU(24, 64, batch_first=True)
        self.decoder = nn.Linear(64, vocab_size)

    def forward(self, x):
        features, _ = self.rnn(self.embedding(x))
        return self.decoder(features).permute(0, 2, 1)
