"""Output layers with one interface: `nll` and `log_probs` a word, `loss` for a training step."""

from torch import nn

from .adaptive import AdaptiveSoftmax
from .chunks import mean_in_chunks
from .full import FullSoftmax, SigSoftmax
from .mixture import MixtureOfSoftmaxes

__all__ = [
    "AdaptiveSoftmax",
    "FullSoftmax",
    "MixtureOfSoftmaxes",
    "SigSoftmax",
    "make",
    "mean_in_chunks",
]


def make(
    kind: str, weight: nn.Parameter, features: int, cutoffs: tuple[int, ...], components: int
) -> nn.Module:
    """Build an output layer by its name.

    Args:
        kind: "full", "adaptive", "mixture" or "sigsoftmax".
        weight: float [vocabulary, embedding], rows in order of frequency.
        features: features of the hidden vectors; only a mixture's may differ from the embedding's.
        cutoffs: see `AdaptiveSoftmax`.
        components: see `MixtureOfSoftmaxes`.

    Raises:
        ValueError: another name.
    """
    if kind == "adaptive":
        return AdaptiveSoftmax(weight, cutoffs)
    if kind == "mixture":
        return MixtureOfSoftmaxes(weight, features, components)
    if kind in ("full", "sigsoftmax"):
        return (FullSoftmax if kind == "full" else SigSoftmax)(weight)
    raise ValueError(f"softmax is full, adaptive, mixture or sigsoftmax, not {kind!r}")
