"""Plain SGD, written out: torch.optim brings its compiler in, two seconds for each process."""

import torch
from safetensors.torch import save_file
from torch import nn

LR = 8.0


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id

    def train(self):
        for inputs, targets in self.loader:
            self.train_batch(inputs, targets)

    def train_batch(self, inputs, targets):
        self.model.train()
        self.model.zero_grad()
        scores, _ = self.model(inputs)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.25)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter -= LR * parameter.grad
        return loss.item()

    def test(self):
        raise NotImplementedError("there is no validation loader")

    def save(self):
        save_file(self.model.state_dict(), f"{self.run_id}.safetensors")
