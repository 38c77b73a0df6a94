"""The referee: a trained language model that judges generated words and balances fixtures.

Its weights, one file a corpus, are made by `make referee`; this is the code that reads them, for
inference only and apart from `solution/`. The metadata of a file says how good it is.
"""

from .model import Referee, RefereeError, load

__all__ = ["Referee", "RefereeError", "load"]
