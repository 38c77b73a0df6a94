"""An LSTM with dropout and tied weights, over [batch, time]; scores [B, T, V] and state."""

from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size, features=48):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.encoder = nn.Embedding(vocab_size, features)
        self.rnn = nn.LSTM(features, features, batch_first=True)
        self.decoder = nn.Linear(features, vocab_size)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, inputs, hidden=None):
        features, hidden = self.rnn(self.drop(self.encoder(inputs)), hidden)
        scores = self.decoder(self.drop(features))
        return scores, hidden
