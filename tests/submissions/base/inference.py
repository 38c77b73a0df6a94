"""Scores of the next word, and greedy decoding with the state carried from word to word."""

import torch


class TestLanguageModel:
    __test__ = False

    @staticmethod
    @torch.no_grad()
    def prediction(inp, model):
        return model.eval()(inp.t())[0][-1]

    @staticmethod
    @torch.no_grad()
    def generation(inp, forward, model):
        (scores, state), words = model.eval()(inp.t()), []
        for _ in range(forward):
            words.append(scores[-1].argmax(dim=1))
            scores, state = model(words[-1][None], state)
        return torch.stack(words, dim=1)
