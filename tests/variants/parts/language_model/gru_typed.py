"""A GRU with settings in a dataclass and types on everything; scores [B, T, V] alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    vocab_size: int
    embedding_size: int = 16
    hidden_size: int = 16
    extra: dict[str, Any] = field(default_factory=dict)


class LanguageModel(nn.Module):
    settings: Settings

    def __init__(self, vocab_size: int, **settings: Any) -> None:
        super().__init__()
        self.settings = Settings(vocab_size, **settings)
        sizes: dict[str, int] = {k: v for k, v in asdict(self.settings).items() if k != "extra"}
        self.embedding = nn.Embedding(sizes["vocab_size"], sizes["embedding_size"])
        self.rnn = nn.GRU(sizes["embedding_size"], sizes["hidden_size"], batch_first=True)
        self.decoder = nn.Linear(sizes["hidden_size"], sizes["vocab_size"])

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.rnn(self.embedding(inputs))[0]
        scores: Tensor = self.decoder(output)
        assert scores.dtype is torch.float32, scores.dtype
        return scores
