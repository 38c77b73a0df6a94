"""Learning rates as pure functions of progress: 0 at the first step, 1 after the last."""

import math


def constant(progress: float) -> float:
    """Return 1: the learning rate stays."""
    return 1.0


def one_cycle(progress: float, warmup: float = 0.1, floor: float = 0.01) -> float:
    """Rise in a line to 1 at `warmup`, then fall along a half cosine to `floor`.

    After Smith 2018, with the cosine that fast.ai gave it.

    Args:
        progress: share of the run that is done, 0 to 1; beyond 1 counts as 1.
        warmup: share of the run at which the peak stands, above 0 and below 1.
        floor: the last value.

    Returns:
        Factor of the peak learning rate, `floor` to 1.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return floor + (1 - floor) * progress / warmup
    fall = (progress - warmup) / (1 - warmup)
    return floor + (1 - floor) * (1 + math.cos(math.pi * fall)) / 2
