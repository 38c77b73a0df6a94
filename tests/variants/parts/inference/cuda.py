"""Written for a GPU, in bfloat16; the last 64 words at most are read."""

import torch
from torch import autocast

device = "cuda" if torch.cuda.is_available() else "cpu"


class TestLanguageModel:
    @staticmethod
    @torch.no_grad()
    def prediction(inp, model):
        model = model.to(device).eval()
        with autocast(device_type=device, dtype=torch.bfloat16):
            return model(inp.to(device)[:, -64:])[:, -1]

    @staticmethod
    @torch.no_grad()
    def generation(inp, forward, model):
        inp = inp.to(device)
        for _ in range(forward):
            scores = TestLanguageModel.prediction(inp, model)
            inp = torch.cat((inp, scores.argmax(1, keepdim=True)), 1)
        return inp[:, -forward:].cpu().numpy()
