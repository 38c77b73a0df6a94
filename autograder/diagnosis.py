"""What a bad prediction NLL gives away about its cause, by comparing it with other NLLs.

Covered: targets that were not shifted or shifted twice, scores that went through a softmax, a model
that knows word frequencies only. Not covered: what the checks of the four classes find by running
the code; this sees the scores on the fixtures alone.
"""

import math

import numpy as np

from . import score
from .corpus import Corpus
from .score import Mean

CLEAR = 0.2  # nats; less than what a first epoch of training moves an NLL by
SURE = 4  # standard errors
ALIKE = 0.9  # correlation over words; the referee's with word frequencies is 0.8 on WikiText-2


def of_prediction(nll: np.ndarray, words: np.ndarray, corpus: Corpus, digits: int) -> str:
    """Return the likeliest cause as a hint, "" where nothing gives one away.

    Args:
        nll: float64 [rows, 3], under the model: of the next word, of the word after it, and of the
            prefix's own last word.
        words: int64 [rows, 3], these words.
        corpus: where the words' frequencies are counted, in the training split.
        digits: of the numbers told.
    """
    uniform = math.log(len(corpus.vocab))
    frequency = frequency_nll(words, corpus)
    right = score.mean(nll[:, 0])
    for column, word, cause in (
        (2, "the prefix's own last word", "was it trained on targets that are not shifted?"),
        (1, "the word after the next one", "were its targets shifted twice, or is a word lost?"),
    ):
        other = score.mean(nll[:, column])
        if _clearly_lower(nll[:, column], nll[:, 0]) and other.value < frequency[:, column].mean():
            return (
                f"the model scores {word} far better (NLL {other.value:.{digits}f}) than the next "
                f"word (NLL {right.value:.{digits}f}): {cause} The target of each word is the one "
                "right after it"
            )
    if _same(nll[:, 0], frequency[:, 0], right):
        return (
            f"this is what word frequencies alone give ({frequency[:, 0].mean():.{digits}f}): the "
            "model knows which words are common and nothing of the prefix. Does what the "
            "recurrent layers give reach the scores, and do their weights learn?"
        )
    if uniform - 1 <= right.value <= uniform + 0.05:
        return (
            f"this is hardly better than guessing ({uniform:.2f}): either the model is "
            "untrained, or prediction returns probabilities where scores are wanted"
        )
    if right.value > uniform:
        return (
            f"this is worse than guessing ({uniform:.2f}): are the words in another order than the "
            "vocabulary's, is this the score of another position, or is the model untrained?"
        )
    return ""


def frequency_nll(words: np.ndarray, corpus: Corpus) -> np.ndarray:
    """Return the NLL of words of any shape by their frequency in the training split.

    Each is counted once more than it stands there, so that none has frequency zero.
    """
    counts = np.bincount(corpus.train.ids, minlength=len(corpus.vocab)) + 1
    return -np.log(counts / counts.sum())[words]


def _clearly_lower(other: np.ndarray, right: np.ndarray) -> bool:
    gain = score.mean(right - other)
    return gain.value > max(CLEAR, SURE * gain.stderr)


def _same(nll: np.ndarray, frequency: np.ndarray, mean: Mean) -> bool:
    if nll.std() == 0 or frequency.std() == 0:
        return False
    near = abs(mean.value - frequency.mean()) <= 2 * mean.stderr
    return near and np.corrcoef(nll, frequency)[0, 1] >= ALIKE
