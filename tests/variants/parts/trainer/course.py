"""Adam on windows that each start from nothing; save() as the course's notebook does it."""

import os

import torch
from torch import nn


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model = model
        self.loader = loader
        self.train_losses = []
        self.epochs = 0
        self.max_epochs = max_epochs
        self.run_id = run_id
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-6)
        self.criterion = nn.CrossEntropyLoss()

    def train(self):
        self.model.train()
        epoch_loss, num_batches = 0, 0
        for _batch_num, (inputs, targets) in enumerate(self.loader):
            epoch_loss += self.train_batch(inputs, targets)
            num_batches += 1
        epoch_loss = epoch_loss / num_batches
        self.epochs += 1
        self.train_losses.append(epoch_loss)

    def train_batch(self, inputs, targets):
        self.optimizer.zero_grad()
        outputs, _ = self.model(inputs)
        loss = self.criterion(outputs.view(-1, outputs.size(2)), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def save(self):
        folder = os.path.join("experiments", self.run_id)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"model-{self.epochs}.pkl")
        torch.save({"state_dict": self.model.state_dict()}, path)
