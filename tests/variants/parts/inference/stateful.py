"""Empties the state that the model keeps, before each call."""

import torch


class TestLanguageModel:
    @staticmethod
    @torch.no_grad()
    def prediction(inp, model):
        model.eval()
        model.reset()
        return model(inp).select(1, -1)

    @staticmethod
    @torch.no_grad()
    def generation(inp, forward, model):
        words = [TestLanguageModel.prediction(inp, model).argmax(1)]
        while len(words) < forward:
            words.append(model(words[-1][:, None])[:, 0].argmax(1))
        return torch.stack(words, 1)
