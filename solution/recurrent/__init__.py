"""Recurrent layers with one interface, `layer(x, state) -> (output, state)`, and their stack."""

from .lstm import WeightDropoutLSTM
from .network import Hidden, Network
from .qrnn import QRNN

__all__ = ["QRNN", "Hidden", "Network", "WeightDropoutLSTM"]
