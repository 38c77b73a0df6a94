"""Reads on from the state over [batch, time]; a tuple back for scores, int32 for words."""

import torch
from torch import no_grad


class TestLanguageModel:
    @staticmethod
    @no_grad()
    def prediction(inp, model):
        was_training = model.training
        model.eval()
        scores, hidden = model(inp)
        model.train(was_training)
        return scores[:, -1], hidden

    @staticmethod
    @no_grad()
    def generation(inp, forward, model):
        model.eval()
        words = torch.empty(len(inp), forward, dtype=torch.int32)
        read, hidden = inp, None
        for t in range(forward):
            scores, hidden = model(read, hidden)
            read = scores[:, -1].topk(1).indices
            words[:, t] = read[:, 0]
        return words
