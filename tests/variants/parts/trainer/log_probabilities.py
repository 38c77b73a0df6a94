"""NLLLoss on log-probabilities, in groups of parameters with rates of their own."""

import torch
from safetensors.torch import save_model
from torch import nn


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        rnn = set(model.rnn.parameters())
        rest = [p for p in model.parameters() if p not in rnn]
        self.optimizer = torch.optim.Adam(
            [{"params": list(rnn), "lr": 5e-3}, {"params": rest, "lr": 1e-2}], betas=(0.9, 0.98)
        )
        self.criterion = nn.NLLLoss()

    def train(self):
        total = 0.0
        for inputs, targets in self.loader:
            total += self.train_batch(inputs, targets)
        return total / len(self.loader)

    def train_batch(self, inputs, targets):
        log_probs, _ = self.model.train()(inputs)
        loss = self.criterion(log_probs.transpose(1, 2), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def save(self):
        save_model(self.model, f"{self.run_id}.safetensors")
