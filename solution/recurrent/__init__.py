"""Recurrent layers with one interface, `layer(x, state) -> (output, state)`, and their stack."""

from .gru import WeightDropoutGRU
from .lstm import WeightDropoutLSTM
from .network import Hidden, Network
from .qrnn import QRNN
from .transformer import TransformerLayer

__all__ = [
    "QRNN",
    "Hidden",
    "Network",
    "TransformerLayer",
    "WeightDropoutGRU",
    "WeightDropoutLSTM",
]
