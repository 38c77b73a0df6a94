"""A hand-written optimizer, RMSprop with momentum, and gradients that are never left over."""

import torch
from safetensors.torch import save_file


class Momentum(torch.optim.Optimizer):
    def __init__(self, params, rate):
        super().__init__(params, {"rate": rate})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                square = state.setdefault("square", torch.zeros_like(p))
                speed = state.setdefault("speed", torch.zeros_like(p))
                square.mul_(0.95).addcmul_(p.grad, p.grad, value=0.05)
                speed.mul_(0.9).addcdiv_(p.grad, square.sqrt().add_(1e-6), value=0.1)
                p -= group["rate"] * speed
                p.grad = None


class LanguageModelTrainer:
    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        self.optimizer = Momentum(model.parameters(), 0.01)

    def train(self):
        for batch in self.loader:
            self.train_batch(*batch)

    def train_batch(self, inputs, targets):
        log_p = self.model.train()(inputs)[0].log_softmax(-1)
        loss = -log_p.flatten(0, 1).gather(1, targets.flatten()[:, None]).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def save(self):
        save_file(self.model.state_dict(), f"{self.run_id}.safetensors")
