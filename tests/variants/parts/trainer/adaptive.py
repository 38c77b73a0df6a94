"""Orders the words by how often the loader's text has them; never calls the model's forward."""

import numpy as np
import torch
from safetensors.torch import save_file


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        counts = np.bincount(np.concatenate(loader.dataset), minlength=len(model.rank))
        order = torch.from_numpy(counts.argsort()[::-1].copy())
        model.rank[order] = torch.arange(len(order))
        self.optimizer = torch.optim.NAdam(model.parameters(), lr=0.01)

    def train(self):
        for inputs, targets in self.loader:
            self.train_batch(inputs, targets)

    def train_batch(self, inputs, targets):
        self.model.train()
        loss = self.model.nll(inputs, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def save(self):
        save_file(self.model.state_dict(), f"{self.run_id}.safetensors")
