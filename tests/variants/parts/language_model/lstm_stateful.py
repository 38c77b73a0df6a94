"""An LSTM that keeps its state itself, for as long as the batch is of one size; [B, T, V] alone."""

from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.encoder = nn.Embedding(vocab_size, 48)
        self.rnn = nn.LSTM(48, 48, batch_first=True)
        self.decoder = nn.Linear(48, vocab_size)
        self.decoder.weight = self.encoder.weight
        self.reset()

    def reset(self):
        self.state = None

    def forward(self, x):
        if self.state is not None and self.state[0].size(1) != len(x):
            self.reset()
        features, state = self.rnn(self.encoder(x), self.state)
        self.state = tuple(part.detach() for part in state)
        return self.decoder(features)
