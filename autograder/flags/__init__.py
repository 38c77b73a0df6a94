"""Flags: what honest models do not do, for a person to look at. A flag never takes a point.

`learnt`: the hidden text learnt by heart, told by the NLLs of the next words. `written`: what is
odd about generated words. `known`: public prefixes mixed among hidden ones, for comparison.
`rates`: how often each flag is wrong, and how often it finds what it is for.

A flag proves nothing: a bug, or a model better than any that was measured, can raise one too. Its
message says what was seen, what honest models show, and how to find out, in figures as coarse as
those of the grade, because hidden words must not be told by them.
"""

import numpy as np

from ..corpus import UNK, Corpus
from ..fixtures import Fixtures
from ..result import Flag
from . import learnt, written

IDS = (
    "prediction.implausible",
    "prediction.confident",
    "prediction.gap",
    "generation.human",
    "generation.copied",
    "generation.loops",
    "generation.unknown",
)


def of_prediction(
    nll: np.ndarray,
    drawn: Fixtures,
    corpus: Corpus,
    public: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Flag, ...]:
    """Return the flags of a model by its NLLs of the next words.

    Args:
        nll: float64 [rows].
        drawn: the fixtures they are of.
        corpus: the fixtures' corpus.
        public: float64 [256] twice, the model's and the referee's NLLs for the public prefixes
            that were mixed among hidden ones (`known.Known`); None where there were none.
    """
    found = [learnt.implausible(nll, corpus.name), learnt.confident(nll, drawn.control)]
    if public is not None:
        found.append(learnt.gap(nll, drawn.control, *public))
    return tuple(flag for flag in found if flag)


def of_generation(
    words: np.ndarray, human_nll: np.ndarray, drawn: Fixtures, corpus: Corpus, bound: float
) -> tuple[Flag, ...]:
    """Return the flags of generated words.

    Args:
        words: int64 [rows, forward].
        human_nll: float64 [rows, forward], the referee's NLLs of the words that stand in the text.
        drawn: the fixtures they continue.
        corpus: the fixtures' corpus.
        bound: the share of degenerate continuations past which generation earns nothing.
    """
    found = [
        written.given_away(words, drawn.human, human_nll),
        written.copied(words, corpus.train.ids),
        written.loops(words, bound),
    ]
    if UNK in corpus.vocab:
        found.append(written.chains(words, corpus.vocab.index(UNK)))
    return tuple(flag for flag in found if flag)
