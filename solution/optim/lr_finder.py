"""The learning-rate range test: raise the rate step by step and watch the loss.

Smith 2017 ("Cyclical learning rates"), section 3.3, with the exponential rise of fast.ai. The rate
to train with stands where the loss falls fastest, well before it turns.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

SMOOTHING = 0.9  # weight of the past in the running mean of losses
TOO_HIGH = 1.5  # the test ends where the smoothed loss is so many times its lowest


def rates(steps: int, lowest: float, highest: float) -> list[float]:
    """Return learning rates from `lowest` to `highest` in equal ratios.

    Raises:
        ValueError: fewer than two steps, or rates that do not rise from above zero.
    """
    if steps < 2 or not 0 < lowest < highest:
        raise ValueError(f"no rise from {lowest} to {highest} in {steps} steps")
    return [lowest * (highest / lowest) ** (i / (steps - 1)) for i in range(steps)]


def sweep(trainer: Any, wanted: Iterable[float]) -> tuple[list[float], list[float]]:
    """Take a step at each rate, until the loss runs away.

    The trainer's weights are used up: throw it away afterwards.

    Args:
        trainer: a `LanguageModelTrainer` that has not trained yet.
        wanted: learning rates, rising.

    Returns:
        The rates that were tried, and the smoothed loss at each.
    """
    tried: list[float] = []
    smoothed: list[float] = []
    running, windows = 0.0, iter(trainer.loader)
    for rate in wanted:
        try:
            inputs, targets = next(windows)
        except StopIteration:  # a short epoch: go on with the next one
            windows = iter(trainer.loader)
            inputs, targets = next(windows)
        trainer.schedule = lambda _, rate=rate: rate / trainer.config.lr
        try:
            loss = trainer.train_batch(inputs, targets)
        except FloatingPointError:
            break
        running = SMOOTHING * running + (1 - SMOOTHING) * loss
        tried.append(rate)
        smoothed.append(running / (1 - SMOOTHING ** len(tried)))  # as if it had no zeros before it
        if smoothed[-1] > TOO_HIGH * min(smoothed):
            break
    return tried, smoothed


def suggest(tried: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate before the lowest loss at which the loss falls fastest for a rate's ratio.

    Raises:
        ValueError: the loss never fell.
    """
    lowest = min(range(len(losses)), key=losses.__getitem__)
    if lowest < 2:
        raise ValueError("the loss rose from the first step on: begin with a lower rate")
    logs = torch.tensor([math.log(rate) for rate in tried[: lowest + 1]])
    (slopes,) = torch.gradient(torch.tensor(losses[: lowest + 1]), spacing=(logs,))
    return tried[int(slopes.argmin())]


def draw(tried: Sequence[float], losses: Sequence[float], best: float, path: Path) -> None:
    """Save the curve as a picture, with the suggested rate marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.semilogx(tried, losses)
    axes.axvline(best, linestyle="--", color="tab:red", label=f"suggested: {best:.2g}")
    axes.set(xlabel="learning rate", ylabel="smoothed training NLL (nats a token)")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
