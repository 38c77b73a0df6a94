"""A corpus read by the character: the same text, splits and articles, with letters for tokens."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autograder.corpus import UNK, Corpus, Split
from autograder.wikitext import EOL, SPLITS


def characters(corpus: Corpus) -> Corpus:
    """Spell a corpus of words out.

    Each word is followed by a space, as in WikiText-2's files; `<eol>` becomes a line break, and
    `<unk>`, which is no word of the text, one character of its own. The vocabulary is what
    training words are spelled with, which is what all words are spelled with.

    Returns:
        A corpus called `<name>-chars`. Perplexities are by the character; the mean NLL over ln 2
        is in bits a character.
    """
    spelled = [list(_spell(word)) for word in corpus.vocab]
    vocab = tuple(sorted({c for letters in spelled for c in letters}))
    index = {c: i for i, c in enumerate(vocab)}
    words = [np.array([index[c] for c in letters], dtype=np.int32) for letters in spelled]
    splits = {name: _split(corpus.split(name), words) for name in SPLITS}
    digest = hashlib.sha256(f"characters of {corpus.digest}".encode()).hexdigest()
    return Corpus(f"{corpus.name}-chars", vocab, **splits, digest=digest, separator="")


def _spell(word: str) -> Sequence[str]:
    if word == EOL:
        return "\n"
    return (UNK, " ") if word == UNK else word + " "


def _split(split: Split, words: list[NDArray[np.int32]]) -> Split:
    ids = np.concatenate([words[i] for i in split.ids.tolist()])
    lengths = np.array([len(word) for word in words])[split.ids]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Split(ids, starts[split.offsets], starts[split.blanks])
