"""The study's corpus: a few articles of another one, with only their own words."""

import hashlib

import numpy as np

from autograder.corpus import UNK, Corpus, Split


def small_text(corpus: Corpus, train: int = 20, valid: int = 10) -> Corpus:
    """Cut a corpus down to its first articles; words that training lacks become `<unk>`.

    Args:
        corpus: the whole, with `<unk>` in its vocabulary.
        train: training articles to keep.
        valid: articles of each other split to keep.
    """
    kept = {"train": train, "valid": valid, "test": valid}
    parts = {name: _first(corpus.split(name), n) for name, n in kept.items()}
    unk = corpus.vocab.index(UNK)
    known = np.unique([*parts["train"].ids, unk])
    new_ids = np.full(len(corpus.vocab), np.searchsorted(known, unk), dtype=np.int32)
    new_ids[known] = np.arange(len(known))
    splits = {
        name: Split(new_ids[part.ids], part.offsets.copy(), part.blanks.copy())
        for name, part in parts.items()
    }
    digest = hashlib.sha256(f"{kept} of {corpus.digest}".encode()).hexdigest()
    vocab = tuple(corpus.vocab[i] for i in known)
    return Corpus(f"{corpus.name}-small", vocab, **splits, digest=digest)


def _first(split: Split, articles: int) -> Split:
    offsets = split.offsets[: articles + 1]
    return Split(split.ids[: offsets[-1]], offsets, split.blanks[split.blanks < offsets[-1]])
