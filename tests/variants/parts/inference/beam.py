"""Beam search of width 3 over the state of an LSTM."""

import torch

WIDTH = 3


class TestLanguageModel:
    @staticmethod
    @torch.no_grad()
    def prediction(inp, model):
        return model.eval()(inp)[0][:, -1].log_softmax(dim=1)

    @staticmethod
    @torch.no_grad()
    def generation(inp, forward, model):
        rows, first = len(inp), torch.arange(len(inp))[:, None]
        scores, hidden = model.eval()(inp)
        total, words = scores[:, -1].log_softmax(1).topk(WIDTH)  # [rows, width]
        made = words[:, :, None]
        hidden = tuple(h.repeat_interleave(WIDTH, dim=1) for h in hidden)
        for _ in range(1, forward):
            scores, hidden = model(words.reshape(-1, 1), hidden)
            each = scores[:, -1].log_softmax(1).view(rows, WIDTH, -1) + total[:, :, None]
            total, best = each.flatten(1).topk(WIDTH)
            parent, words = best // scores.size(-1), best % scores.size(-1)
            made = torch.cat([made[first, parent], words[:, :, None]], dim=2)
            flat = (first * WIDTH + parent).flatten()
            hidden = tuple(h[:, flat] for h in hidden)
        return made[:, 0]
