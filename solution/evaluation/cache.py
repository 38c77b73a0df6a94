"""The neural cache: words that stood lately in places like this one become more probable.

Grave et al. 2017 ("Improving neural language models with a continuous cache"), section 3. The
cache keeps the last `window` pairs of a hidden vector and the word that followed it; where the
model now has a hidden vector h, each pair votes for its word with weight exp(theta * h . h_i).
Nothing is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from recurrent import Hidden, Network
from torch import Tensor

from .perplexity import WINDOW, windows


@dataclass(frozen=True)
class CacheSettings:
    """How far the cache goes back, how much it is trusted, and how sharply it tells places apart.

    The defaults are those of Merity et al. 2017, section 6, for the AWD-LSTM on WikiText-2.
    """

    window: int = 3785
    lam: float = 0.1279
    theta: float = 0.662


@torch.no_grad()
def cached(model: Network, ids: Tensor, settings: CacheSettings) -> Iterator[Tensor]:
    """Yield the NLL of each word under (1 - lam) * model + lam * cache.

    The first word of all has an empty cache, and the model's probability.

    Args:
        model: the model, in evaluation mode.
        ids: int64 [words], on the model's device.
        settings: of the cache.
    """
    for log_prob, votes in _votes(model, ids, settings.window, [settings.theta]):
        yield -_mix(log_prob, votes[0], settings.lam)


@torch.no_grad()
def tune_cache(
    model: Network,
    ids: Tensor,
    window_sizes: Sequence[int] = (500, 2000, 3785),
    lams: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    thetas: Sequence[float] = (0.1, 0.3, 0.7, 1.5, 3.0, 5.0, 8.0),
) -> tuple[CacheSettings, float]:
    """Try all settings on a validation text; return the best and its mean NLL.

    The text is read once for each window size.

    Args:
        model: the model, in evaluation mode.
        ids: int64 [words], on the model's device.
        window_sizes: to try.
        lams: to try.
        thetas: to try.
    """
    totals: dict[CacheSettings, float] = {}
    for window in window_sizes:
        for log_prob, votes in _votes(model, ids, window, thetas):
            for (theta, vote), lam in product(zip(thetas, votes, strict=True), lams):
                key = CacheSettings(window, lam, theta)
                total = -_mix(log_prob, vote, lam).sum().item()
                totals[key] = totals.get(key, 0.0) + total
    best = min(totals, key=totals.__getitem__)
    return best, totals[best] / (len(ids) - 1)


def _votes(
    model: Network, ids: Tensor, window: int, thetas: Sequence[float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield log p of the targets by the model, float64 [n], and by the cache's votes.

    The votes are probabilities, float64 [thetas, n]; NaN where the cache is empty.
    """
    hidden: Hidden | None = None
    keys = words = None
    for inputs, targets in windows(ids, WINDOW):
        _, features, hidden = model.features(inputs, hidden)
        log_prob = -model.nll(features, targets)[0].double()
        asked = features[0].float()  # [n, features]
        # A place's own pair is known only after its word: it serves from the next place on.
        keys = asked if keys is None else torch.cat([keys, asked])
        words = targets[0] if words is None else torch.cat([words, targets[0]])
        n, held = len(asked), len(keys)
        place = torch.arange(held, device=ids.device)
        age = place[-n:, None] - place  # of each pair at each place, [n, held]
        usable = (age > 0) & (age <= window)
        likeness = (asked @ keys.T).masked_fill(~usable, -torch.inf)
        same = words == targets[0][:, None]
        votes = [((theta * likeness).softmax(dim=1) * same).sum(dim=1).double() for theta in thetas]
        yield log_prob, torch.stack(votes)
        keys, words = keys[-window:], words[-window:]


def _mix(log_prob: Tensor, votes: Tensor, lam: float) -> Tensor:
    mixed = ((1 - lam) * log_prob.exp() + lam * votes).log()
    return torch.where(votes.isnan(), log_prob, mixed)
