"""Written for a GPU, with mixed precision and a progress bar; on a CPU it does without them."""

import torch
import torch.nn.functional as F

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(batches, **_):
        return batches


DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model.to(DEVICE), loader, run_id
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-2)
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=DEVICE.type == "cuda")

    def train(self):
        for inputs, targets in tqdm(self.loader, total=len(self.loader)):
            self.train_batch(inputs, targets)

    def train_batch(self, inputs, targets):
        self.model.train()
        inputs = inputs.to(DEVICE, non_blocking=True)
        targets = targets.to(DEVICE, non_blocking=True)
        self.optimizer.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16):
            scores = self.model(inputs)
            loss = F.cross_entropy(scores.flatten(0, 1).float(), targets.flatten())
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()

    def save(self):
        torch.save({"state_dict": self.model.state_dict()}, f"{self.run_id}.pt")
