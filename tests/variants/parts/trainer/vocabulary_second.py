"""CrossEntropyLoss on scores [B, V, T] as they are, one cycle of the rate; there is no test()."""

import torch
from safetensors.torch import save_file


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters())
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=0.02, epochs=max_epochs, steps_per_epoch=len(loader)
        )

    def train(self):
        for inputs, targets in self.loader:
            self.train_batch(inputs, targets)

    def train_batch(self, inputs, targets):
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(inputs), targets)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def save(self):
        save_file(self.model.state_dict(), f"{self.run_id}.safetensors")
