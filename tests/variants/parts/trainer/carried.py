"""SGD with a large rate and clipping, the state carried from window to window, a schedule."""

import numpy as np
import torch
from safetensors.torch import save_model
from torch import nn


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp", valid_loader=None):
        self.model, self.loader, self.valid_loader, self.run_id = (
            model,
            loader,
            valid_loader,
            run_id,
        )
        self.optimizer = torch.optim.SGD(model.parameters(), lr=2, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 10, gamma=0.2)
        self.hidden = None

    def loss(self, inputs, targets, hidden):
        scores, hidden = self.model(inputs, hidden)
        return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten()), hidden

    def train(self):
        self.model.train()
        self.hidden = None
        losses = [self.train_batch(inputs, targets) for inputs, targets in self.loader]
        self.scheduler.step()
        return np.mean(losses)

    def train_batch(self, inputs, targets):
        self.model.zero_grad()
        loss, hidden = self.loss(inputs, targets, self.hidden)
        self.hidden = tuple(h.detach() for h in hidden)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def test(self):
        self.model.eval()
        losses, hidden = [], None
        for inputs, targets in self.valid_loader:
            loss, hidden = self.loss(inputs, targets, hidden)
            losses += [loss.item()] * targets.numel()
        self.model.train()
        return float(np.mean(losses))

    def save(self):
        save_model(self.model, f"{self.run_id}.safetensors")
        return f"{self.run_id}.safetensors"
