"""For a model that keeps its state itself: emptied once an epoch. Adagrad, and a plateau's rate."""

import torch
import torch.nn.functional as F
from safetensors.torch import save_model


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        self.optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=1)

    def train(self):
        self.model.reset()
        losses = torch.tensor([self.train_batch(x, y) for x, y in self.loader])
        self.plateau.step(losses.mean())

    def train_batch(self, x, y):
        self.model.train()
        loss = F.cross_entropy(self.model(x).transpose(1, 2), y)
        self.model.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def save(self):
        save_model(self.model, f"{self.run_id}.safetensors")
