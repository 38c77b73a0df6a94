"""Learning rates as pure functions of progress: 0 at the first step, 1 after the last.

Also the two rules of transfer that say which layers learn, and how fast.
"""

import math
from collections.abc import Callable


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


def slanted_triangular(progress: float, cut: float = 0.1, ratio: float = 32.0) -> float:
    """Rise in a line to 1 at `cut`, then fall in a line (Howard and Ruder 2018, section 3.2).

    Args:
        progress: share of the run that is done, 0 to 1; beyond 1 counts as 1.
        cut: share of the run at which the peak stands, above 0 and below 1.
        ratio: how much smaller the lowest rate is than the peak.

    Returns:
        Factor of the peak learning rate, 1 / `ratio` to 1.
    """
    progress = min(max(progress, 0.0), 1.0)
    height = progress / cut if progress < cut else (1 - progress) / (1 - cut)
    return (1 + height * (ratio - 1)) / ratio


def discriminative_rates(lr: float, groups: int, factor: float = 2.6) -> list[float]:
    """Give each group of layers a rate `factor` below the one above it (ibid., section 3.2).

    Returns:
        Learning rates, lowest layers first; the last is `lr`.
    """
    return [lr / factor ** (groups - 1 - i) for i in range(groups)]


def unfrozen(epoch: int, groups: int) -> int:
    """Return how many groups of layers learn in an epoch, counted from the top.

    Gradual unfreezing (ibid., section 3.3): the top one in epoch 0, and one more each epoch.
    """
    return min(epoch + 1, groups)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "one-cycle": one_cycle,
    "slanted-triangular": slanted_triangular,
}
