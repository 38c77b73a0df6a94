"""A Transformer of two layers with a causal mask and fixed sinusoids; scores [B, T, V] alone."""

import math

import torch
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocab_size, features=48, longest=128):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, features)
        layer = nn.TransformerEncoderLayer(features, 4, 96, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.decoder = nn.Linear(features, vocab_size)
        place = torch.arange(longest)[:, None]
        rate = torch.exp(torch.arange(0, features, 2) * (-math.log(10_000) / features))
        table = torch.stack([(place * rate).sin(), (place * rate).cos()], dim=2).flatten(1)
        self.register_buffer("places", table, persistent=False)

    def forward(self, x):
        time = x.size(1)
        mask = torch.full((time, time), float("-inf"), device=x.device).triu(1)
        h = self.embedding(x) * math.sqrt(self.embedding.embedding_dim) + self.places[:time]
        return self.decoder(self.layers(h, mask))
