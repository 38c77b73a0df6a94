"""Recurrent layers with one interface: `layer(x, state) -> (output, state)`, `[batch, time, …]`."""

from .lstm import WeightDropoutLSTM
from .qrnn import QRNN

__all__ = ["QRNN", "WeightDropoutLSTM"]
