"""Output layers with one interface: `nll(hidden, targets)` and `log_probs(hidden)`."""

from .adaptive import AdaptiveSoftmax
from .full import FullSoftmax

__all__ = ["AdaptiveSoftmax", "FullSoftmax"]
