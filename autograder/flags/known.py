"""Public prefixes mixed among the hidden ones, to compare how well a model does on both.

A model that learnt the hidden text by heart is better on it than on other text of the same kind.
What it does there can only be compared if it cannot tell the two apart, so a few prefixes of the
validation split go through the same call, in an order of their own. They are drawn from the hidden
fixtures' secret, for a table of the public fixtures alone would be easy to make. Not covered: what
a difference means (`learnt.py`).
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..corpus import Corpus
from ..fixtures import LENGTH, Fixtures, spread

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from ..referee import Referee

COUNT = 256  # with the fixtures' own prefixes a whole number of the grader's chunks


@dataclass(frozen=True)
class Known:
    """Prefixes int64 [256, 20] → next_word [256], and the referee's NLL of each, float64 [256].

    order: int64 [rows + 256], which row of hidden and then known prefixes comes when.
    """

    prediction: np.ndarray
    next_word: np.ndarray
    control: np.ndarray
    order: np.ndarray

    def mixed(self, hidden: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Put rows that belong to the hidden and to the known prefixes in the mixed order."""
        return np.concatenate([hidden, known])[self.order]

    def apart(self, mixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take rows in the mixed order apart again: those of the hidden, those of the known."""
        rows = np.empty_like(mixed)
        rows[self.order] = mixed
        return rows[:-COUNT], rows[-COUNT:]


def draw(corpus: Corpus, hidden: Fixtures, referee: "Referee") -> Known:
    """Draw prefixes of the validation split: the same hidden fixtures give the same ones."""
    # Not from the digest, which results show.
    seed = hashlib.sha256(b"known/" + hidden.prediction.astype("<i8").tobytes()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, dtype="<u4"))
    windows = spread(corpus.valid, COUNT, LENGTH + 1, rng)
    prefix, word = windows[:, :-1], windows[:, -1]
    control = referee.word_nll(prefix, word[:, None])[:, 0]
    return Known(prefix, word, control, rng.permutation(len(hidden.prediction) + COUNT))
