"""Training: one step, one epoch, validation, and saving."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import checkpoint
import torch
import torch.distributed as dist
from config import Config
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from optim import NTASGD, SCHEDULES, Objective
from torch import Tensor, nn


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
        ValueError: the config names an unknown optimizer, schedule or precision.
    """

    distributed = True  # under torchrun each process takes its share of a batch's rows

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
        self._objective = self._make_objective()
        if self.config.schedule not in SCHEDULES:
            raise ValueError(f"schedule is one of {sorted(SCHEDULES)}, not {self.config.schedule}")
        self.schedule = SCHEDULES[self.config.schedule]
        if self.config.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision is auto, float32 or bfloat16, not {self.config.precision}")

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
        if config.optimizer in ("nt-asgd", "asgd"):
            optimizer = NTASGD(params, config.lr, config.weight_decay, config.nonmono)
            if config.optimizer == "asgd":
                optimizer.start_averaging()
            return optimizer
        raise ValueError(f"optimizer is adam, sgd, nt-asgd or asgd, not {config.optimizer}")

    def _make_objective(self) -> Callable[..., tuple[Tensor, Tensor, Any]]:
        objective: nn.Module = Objective(self.model, self.config.alpha, self.config.beta)
        if _processes() > 1:
            # A cluster of an adaptive softmax may have no target in a window.
            some = self.config.softmax == "adaptive" and bool(self.config.cutoffs)
            objective = nn.parallel.DistributedDataParallel(objective, find_unused_parameters=some)
        # A function rather than a module, so that no state is saved twice.
        call = objective.__call__
        return torch.compile(call, dynamic=True) if self.config.compile else call

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
        self._set_learning_rate(inputs.size(1))
        self.tokens_seen += inputs.numel()
        inputs, targets = self._mine(inputs), self._mine(targets)
        if self.hidden is not None and self.hidden[0][0].size(-2) != inputs.size(0):
            self.hidden = None
        with self._precision():
            loss, nll, hidden = self._objective(inputs, targets, self.hidden)
        value = _mean_over_processes(nll.detach()).item()
        if not math.isfinite(value) or not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {value} after {self.tokens_seen} tokens at learning rate "
                f"{self.optimizer.param_groups[0]['lr']:.3g}: try a lower one"
            )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        # Truncated back-propagation: the values go on, their history does not.
        self.hidden = [tuple(s.detach() for s in state) for state in hidden]
        return value

    def _mine(self, batch: Tensor) -> Tensor:
        """Return this process's rows of a batch, on the device."""
        processes = _processes()
        if processes > 1:
            if len(batch) % processes:
                raise ValueError(
                    f"{len(batch)} rows cannot be shared evenly by {processes} processes: "
                    "take another --batch-size"
                )
            batch = batch.chunk(processes)[dist.get_rank()]
        return batch.to(self.device, non_blocking=True)

    def _set_learning_rate(self, length: int) -> None:
        progress = self.tokens_seen / (self.max_epochs * self.epoch_tokens)
        factor = self.schedule(progress)
        for group in self.optimizer.param_groups:
            # Short windows take short steps (Merity et al. 2017, section 4.1).
            group["lr"] = self.config.lr * factor * length / self.config.bptt

    def _precision(self) -> torch.autocast | nullcontext:
        chosen = self.config.precision
        if chosen == "bfloat16" or (chosen == "auto" and self.device.type == "cuda"):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
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
                words += targets.numel()
                inputs, targets = self._mine(inputs), self._mine(targets)
                _, features, hidden = self.model.features(inputs, hidden)
                nll = self.model.nll(features, targets).mean(dtype=torch.float64)
                total += _mean_over_processes(nll).item() * targets.numel() * _processes()
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


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _mean_over_processes(value: Tensor) -> Tensor:
    if _processes() > 1:
        dist.all_reduce(value)
        value = value / _processes()
    return value
