"""Flags of generated words: copies of hidden and of training text, circles, chains of `<unk>`.

Circles and `<unk>` cost points past the rubric's bound; their flags come before that. Copies cost
none: what they score, they score.

Each threshold stands with what was seen on 2026-11-21, on hidden draws of WikiText-2's test split:
20 for the reference (9.8M parameters), 8 for a QRNN, a unigram, a bigram and a Kneser-Ney 5-gram
model. Over 20 draws each there was no false alarm, and all cheats of `rates.planted` were found.
`make calibrate` measures the rates anew.
"""

from functools import lru_cache

import numpy as np

from .. import score
from ..corpus import UNK
from ..result import Flag

# A continuation is given away where it begins with the hidden words for so long that the referee
# gives them a chance below e^-15, 1 in 3 million. Seen: never; the most was 11.6 nats. On `numbers`
# no text is that improbable.
GIVEN_AWAY = 15.0
MOST_GIVEN_AWAY = 0.01

# Seen: 10 % with trained models, 11 % with the 5-gram model, 2 % of human text; on `numbers` 16 %
# and 36 %.
PASSAGE = 8  # words
MOST_COPIED = 0.4

# Part of the share past which generation earns nothing, 0.5. Seen: a share of 17 % (the QRNN; the
# reference 8 %), 1 % of human text. The bigram and unigram models have 65 % or more, and do go in
# circles.
PART_OF_BOUND = 0.5

# Seen: 36 % (the QRNN; the reference 13 %), 2 % of human text.
CHAIN = 3  # words
MOST_CHAINS = 0.5


def given_away(words: np.ndarray, human: np.ndarray, human_nll: np.ndarray) -> Flag | None:
    """Flag continuations that are the hidden text.

    What anybody would have written does not count: only the words that agree from the start on,
    and only where the referee finds them improbable together.

    Args:
        words: int64 [rows, forward], generated.
        human: int64 [rows, forward], those that stand in the text.
        human_nll: float64 [rows, forward], the referee's NLLs of these.
    """
    share = float((surprise(words, human, human_nll) >= GIVEN_AWAY).mean())
    if share <= MOST_GIVEN_AWAY:
        return None
    return Flag(
        "generation.human",
        f"{share:.0%} of the continuations go on as the text itself does, for so many words that "
        "the referee gives each a chance below 1 in 3 million; of honest models none do. "
        "Look in the code and the weights for the text, and ask how the weights were made",
    )


def surprise(words: np.ndarray, human: np.ndarray, human_nll: np.ndarray) -> np.ndarray:
    """Return the referee's NLL of all words that agree from the start on, float64 [rows]."""
    return (np.cumprod(words == human, axis=1) * human_nll).sum(axis=1)


def copied(words: np.ndarray, train: np.ndarray) -> Flag | None:
    """Flag passages of the training text, int [tokens], in int64 [rows, forward].

    Phrases that come back in the text do not count, for a model may have learnt those: only what
    stands there once.
    """
    share = float((occurrences(words, train, PASSAGE) == 1).mean())
    if share <= MOST_COPIED:
        return None
    return Flag(
        "generation.copied",
        f"{share:.0%} of the sequences of {PASSAGE} words that were generated stand in the "
        f"training text exactly once; with honest models at most {MOST_COPIED:.0%} do. Look in "
        "inference.generation for a search through the text; if there is none, the model was "
        "trained for too long, or is too large for its text",
    )


def occurrences(words: np.ndarray, text: np.ndarray, size: int) -> np.ndarray:
    """Count how often each run of `size` words stands in a text, int64 [rows, forward - size + 1].

    Runs are compared by a hash of 64 bits: some 10^10 gradings pass before two runs that differ
    fall together by chance.
    """
    wanted, there = _hashes(words, size), _sorted_hashes(_Text(text), size)
    return np.searchsorted(there, wanted, "right") - np.searchsorted(there, wanted, "left")


class _Text:
    """An array as a key: by identity, so that the hashes of one text are sorted once."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def __hash__(self) -> int:
        return id(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text) and self.ids is other.ids


@lru_cache(maxsize=1)
def _sorted_hashes(text: _Text, size: int) -> np.ndarray:
    return np.sort(_hashes(text.ids, size))


def _hashes(words: np.ndarray, size: int) -> np.ndarray:
    """Hash each run of `size` words along the last axis, uint64; products and sums wrap around."""
    words = words.astype(np.uint64)
    runs = words.shape[-1] - size + 1
    found = words[..., :runs].copy()
    for i in range(1, size):
        found *= np.uint64(0x9E3779B97F4A7C15)
        found += words[..., i : i + runs]
    return found


def loops(words: np.ndarray, bound: float) -> Flag | None:
    """Flag circles in int64 [rows, forward] before they cost points, which they do past `bound`."""
    share, most = float(score.degenerate(words, None).mean()), PART_OF_BOUND * bound
    if share <= most:
        return None
    return Flag(
        "generation.loops",
        f"{share:.0%} of the continuations go in a circle (at most half of their word pairs "
        f"differ); with honest models at most {most:.0%} do, and past {bound:.0%} generation earns "
        "nothing. Is the new word fed back together with the hidden state, and was the model "
        "trained for long enough?",
    )


def chains(words: np.ndarray, unknown: int) -> Flag | None:
    """Flag chains of `<unk>`, the word `unknown`, in int64 [rows, forward]."""
    share = float(has_chain(words, unknown).mean())
    if share <= MOST_CHAINS:
        return None
    return Flag(
        "generation.unknown",
        f"{share:.0%} of the continuations have {CHAIN} {UNK} or more in a row; with honest models "
        f"at most {MOST_CHAINS:.0%} do. {UNK} is what a model guesses that knows little else: was "
        "its loss still falling when training ended?",
    )


def has_chain(words: np.ndarray, unknown: int) -> np.ndarray:
    """Say which rows have a chain of the word `unknown`, bool [rows]."""
    runs = np.lib.stride_tricks.sliding_window_view(words == unknown, CHAIN, axis=1)
    return runs.all(axis=2).any(axis=1)
