"""Takes the batch, and reads the whole prefix again for each new word; tensors back."""

import torch


class TestLanguageModel:
    @staticmethod
    @torch.inference_mode()
    def prediction(inp, model):
        model.eval()
        return model(torch.as_tensor(inp))[:, -1, :]

    @classmethod
    def generation(cls, inp, forward, model):
        sequence = torch.as_tensor(inp)
        for _ in range(forward):
            best = cls.prediction(sequence, model).argmax(dim=-1, keepdim=True)
            sequence = torch.cat([sequence, best], dim=1)
        return sequence[:, inp.shape[1] :]
