"""Training: one step, one epoch, validation, and saving."""

from contextlib import nullcontext
from pathlib import Path

import checkpoint
import torch
from config import Config
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from optim import NTASGD, constant, one_cycle
from regularization import activation_regularization, temporal_activation_regularization
from torch import Tensor

_SCHEDULES = {"constant": constant, "one-cycle": one_cycle}


class LanguageModelTrainer:
    """Trains a `LanguageModel` on the windows of a loader.

    Args:
        model: the model, already on its device.
        loader: training windows.
        max_epochs: epochs that the learning rate's schedule spreads over.
        run_id: name of the run; its files go to `runs/train/<run_id>/`.
        valid_loader: validation windows, in order; `test()` needs it.
        config: settings; None for the defaults.

    Raises:
        ValueError: the config names an unknown optimizer or schedule.
    """

    def __init__(
        self,
        model: LanguageModel,
        loader: LanguageModelDataLoader,
        max_epochs: int = 1,
        run_id: str = "exp",
        valid_loader: LanguageModelDataLoader | None = None,
        config: Config | None = None,
    ) -> None:
        self.model = model
        self.loader = loader
        self.max_epochs = max_epochs
        self.run_id = run_id
        self.valid_loader = valid_loader
        self.config = config or Config()
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.tokens_seen = 0
        self.hidden = None
        self.device = next(model.parameters()).device
        counts = torch.zeros(model.embedding.num_embeddings, dtype=torch.int64)
        for article in loader.dataset:
            counts += torch.from_numpy(article).bincount(minlength=len(counts))
        model.set_counts(counts.to(self.device))
        self.epoch_tokens = max(1, int(counts.sum()))
        self.optimizer = self._make_optimizer()
        if self.config.schedule not in _SCHEDULES:
            raise ValueError(f"schedule is one of {sorted(_SCHEDULES)}, not {self.config.schedule}")

    def _make_optimizer(self) -> torch.optim.Optimizer:
        config, params = self.config, list(self.model.parameters())
        if config.optimizer == "adam":
            # AdamW: decay of the weights themselves; fused, for a step over 8 million embeddings.
            fused = self.device.type in ("cpu", "cuda")
            return torch.optim.AdamW(
                params, lr=config.lr, weight_decay=config.weight_decay, fused=fused
            )
        if config.optimizer == "sgd":
            return torch.optim.SGD(params, lr=config.lr, weight_decay=config.weight_decay)
        if config.optimizer == "nt-asgd":
            return NTASGD(params, config.lr, config.weight_decay, config.nonmono)
        raise ValueError(f"optimizer is adam, sgd or nt-asgd, not {config.optimizer}")

    def train(self) -> float:
        """Train for one epoch.

        Returns:
            Mean NLL a word over the epoch, in nats, regularisers apart.
        """
        self.model.train()
        self.hidden = None
        total = words = 0.0
        for inputs, targets in self.loader:
            total += self.train_batch(inputs, targets) * targets.numel()
            words += targets.numel()
        self.train_losses.append(total / words)
        return self.train_losses[-1]

    def train_batch(self, inputs: Tensor, targets: Tensor) -> float:
        """Take one optimizer step on one window, reading on from the last one's hidden state.

        Args:
            inputs: int64 [batch, time].
            targets: int64 [batch, time].

        Returns:
            Mean NLL a word, in nats, regularisers apart.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        config = self.config
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        self._set_learning_rate(inputs.size(1))
        if self.hidden is not None and self.hidden[0][0].size(-2) != inputs.size(0):
            self.hidden = None
        with self._precision():
            raw, dropped, hidden = self.model.features(inputs, self.hidden)
            nll = self.model.nll(dropped, targets).mean()
        loss = nll
        if config.alpha:
            loss = loss + activation_regularization(dropped.float(), config.alpha)
        if config.beta:
            loss = loss + temporal_activation_regularization(raw.float(), config.beta)
        value = nll.item()
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {value} after {self.tokens_seen} tokens at learning rate "
                f"{self.optimizer.param_groups[0]['lr']:.3g}: try a lower one"
            )
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        # Truncated back-propagation: the values go on, their history does not.
        self.hidden = [tuple(s.detach() for s in state) for state in hidden]
        self.tokens_seen += inputs.numel()
        return value

    def _set_learning_rate(self, length: int) -> None:
        progress = self.tokens_seen / (self.max_epochs * self.epoch_tokens)
        factor = _SCHEDULES[self.config.schedule](progress)
        for group in self.optimizer.param_groups:
            # Short windows take short steps (Merity et al. 2017, section 4.1).
            group["lr"] = self.config.lr * factor * length / self.config.bptt

    def _precision(self) -> torch.autocast | nullcontext:
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def test(self) -> float:
        """Validate, in evaluation mode and without gradients.

        Returns:
            Mean NLL a word of `valid_loader`, in nats.

        Raises:
            ValueError: the trainer was made without a `valid_loader`.
        """
        if self.valid_loader is None:
            raise ValueError("test() needs LanguageModelTrainer(..., valid_loader=...)")
        self.model.eval()
        total = words = 0.0
        hidden = None
        with self._final_weights():
            for inputs, targets in self.valid_loader:
                inputs, targets = inputs.to(self.device), targets.to(self.device)
                _, features, hidden = self.model.features(inputs, hidden)
                total += self.model.nll(features, targets).sum(dtype=torch.float64).item()
                words += targets.numel()
        nll = total / words
        self.val_losses.append(nll)
        if isinstance(self.optimizer, NTASGD):
            self.optimizer.validated(nll)
        self.model.train()
        return nll

    def save(self) -> Path:
        """Write the weights, and the settings that build the model, with `checkpoint.save`.

        Returns:
            The file: `runs/train/<run_id>/checkpoint.safetensors`.
        """
        path = Path("runs/train") / self.run_id / "checkpoint.safetensors"
        with self._final_weights():
            checkpoint.save(path, self.model, checkpoint.model_settings(LanguageModel, self.config))
        return path

    def _final_weights(self) -> nullcontext:
        if isinstance(self.optimizer, NTASGD):
            return self.optimizer.averaged()
        return nullcontext()
