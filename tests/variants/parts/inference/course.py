"""Functions on the class, without staticmethod, that can only take and give NumPy arrays."""

import numpy as np
import torch


class TestLanguageModel:
    def prediction(inp, model):  # noqa: N805 - called on the class
        model.eval()
        inp = torch.from_numpy(inp.astype(np.int64)).transpose(0, 1)
        with torch.no_grad():
            scores, _ = model(inp)
        return scores[-1].cpu().numpy()

    def generation(inp, forward, model):  # noqa: N805
        model.eval()
        words = []
        with torch.no_grad():
            scores, hidden = model(torch.from_numpy(inp).transpose(0, 1))
            for _ in range(forward):
                word = scores[-1].max(dim=1)[1]
                words.append(word)
                scores, hidden = model(word.unsqueeze(0), hidden)
        return torch.stack(words, dim=1).numpy()
