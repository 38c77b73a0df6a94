"""A gated network out of bare parameters, with a learnt first state; [T, B, V] and state."""

import torch
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size, features=64):
        super().__init__()

        def drawn(*size):
            return nn.Parameter(torch.empty(*size).uniform_(-0.1, 0.1))

        self.words, self.read = drawn(vocab_size, features), drawn(features, 2 * features)
        self.keep, self.bias = drawn(features, 2 * features), drawn(2 * features)
        self.start = nn.Parameter(torch.zeros(features))
        self.write, self.prior = drawn(features, vocab_size), drawn(vocab_size)

    def forward(self, x, h=None):
        h = self.start.expand(x.shape[1], -1) if h is None else h
        states = []
        for read in self.words[x] @ self.read + self.bias:
            gate, new = (read + h @ self.keep).chunk(2, dim=1)
            gate = torch.sigmoid(gate)
            h = gate * h + (1 - gate) * torch.tanh(new)
            states.append(h)
        return torch.stack(states) @ self.write + self.prior, h
