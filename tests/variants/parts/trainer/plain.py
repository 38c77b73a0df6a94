"""AdamW on scores [B, T, V]; train_batch returns the loss as a tensor; validates."""

import torch
import torch.nn.functional as F


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp", valid_loader=None):
        self.model, self.loader, self.valid_loader = model, loader, valid_loader
        self.max_epochs, self.run_id = max_epochs, run_id
        self.optim = torch.optim.AdamW(model.parameters(), 0.02)

    def nll(self, inputs, targets):
        scores = self.model(inputs)
        return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.reshape(-1))

    def train(self):
        return sum(float(self.train_batch(*batch)) for batch in self.loader)

    def train_batch(self, inputs, targets):
        self.model.train()
        loss = self.nll(inputs, targets)
        self.optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optim.step()
        return loss.detach()

    def test(self):
        self.model.eval()
        total = words = 0
        with torch.no_grad():
            for inputs, targets in self.valid_loader:
                total = total + self.nll(inputs, targets) * targets.numel()
                words += targets.numel()
        return total / words

    def save(self):
        torch.save(self.model.state_dict(), self.run_id + ".pth")
