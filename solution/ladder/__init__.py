"""The ladder: from a fixed window of three words to a weight-tied LSTM, one idea a rung.

The way of Howard and Gugger 2020 (the fast.ai book), chapter 12. `models` is there to be read from
top to bottom, `cells` is what its upper half is made of, and `python -m ladder` trains every rung.
"""

from .cells import Dropout, GRUCell, LSTMCell
from .models import RUNGS, Rung

__all__ = ["RUNGS", "Dropout", "GRUCell", "LSTMCell", "Rung"]
