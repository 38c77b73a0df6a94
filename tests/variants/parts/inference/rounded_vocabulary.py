"""Cuts off the scores of what is no word; loads the model itself, from a file of its own."""

import os

import torch
from language_model import LanguageModel


def load_model(folder, vocab_size):
    model = LanguageModel(vocab_size)
    saved = torch.load(os.path.join(folder, "best.pth"), map_location="cpu", weights_only=True)
    model.load_state_dict(saved)
    return model


class TestLanguageModel:
    @staticmethod
    @torch.no_grad()
    def prediction(inp, model):
        model.eval()
        return model(inp)[:, -1, : model.vocab_size]

    @staticmethod
    def generation(inp, forward, model):
        for _ in range(forward):
            best = TestLanguageModel.prediction(inp, model).argmax(1)
            inp = torch.column_stack([inp, best])
        return inp[:, -forward:]
