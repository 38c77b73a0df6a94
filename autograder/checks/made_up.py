"""The made-up corpora and numbers that the checks hand to a submission.

Every token of a made-up corpus is different, so that each word in a batch says by itself which
article it stands in and where. A loader is looked at over the longer corpus. A trainer gets the
shorter one, for most of what the checks cost is its steps, and models a vocabulary of just its
words, so that there is none that no training would reach.
"""

from typing import Any

import numpy as np

SEED = 11785
ARTICLES = 24
BATCH_SIZE = 8
TRAINED_ARTICLES = 12
TRAINED_BATCH_SIZE = 6
FORWARD = 6
PROMPT = 12
MAX_BATCHES = 2000


def lengths(count: int = ARTICLES) -> np.ndarray:
    """Length of each article, int64 [articles]; all different."""
    return np.arange(60, 60 + 7 * count, 7, dtype=np.int64)


def articles(count: int = ARTICLES) -> np.ndarray:
    """All articles' ids in one row, int64 [tokens].

    Ids are dealt at random, so that no order of ids can be taken for the order of the text.
    """
    return np.random.default_rng(SEED).permutation(lengths(count).sum()).astype(np.int64)


def vocabulary() -> int:
    """How many words models know: as many as a trainer's corpus has."""
    return len(articles(TRAINED_ARTICLES))


def prompts() -> np.ndarray:
    """Prompts, int64 [5, 12]; five rows, so that rows and steps cannot be mixed up unseen.

    Every word stands in two rows, so that what is drawn by word and what by place differ.
    """
    rng = np.random.default_rng(SEED + 1)
    half = rng.integers(0, vocabulary(), size=(5, PROMPT // 2)).astype(np.int64)
    return np.concatenate([half, np.roll(half, 1, axis=0)], axis=1)


def activations() -> np.ndarray:
    """Drawn activations, float32 [6, 11, 40] (batch, time, features), none of them zero."""
    rng = np.random.default_rng(SEED + 2)
    x = rng.normal(size=(6, 11, 40)).astype(np.float32)
    return np.where(np.abs(x) < 0.01, np.float32(0.01), x)


def embedding() -> np.ndarray:
    """An embedding, float32 [vocabulary, 8], none of its numbers zero."""
    rng = np.random.default_rng(SEED + 3)
    return (0.5 + rng.random(size=(vocabulary(), 8))).astype(np.float32)


def arrays() -> dict[str, np.ndarray]:
    """All inputs, by the name that the worker asks for."""
    return {
        "articles": articles(),
        "lengths": lengths(),
        "trained_articles": articles(TRAINED_ARTICLES),
        "trained_lengths": lengths(TRAINED_ARTICLES),
        "prompts": prompts(),
        "activations": activations(),
        "embedding": embedding(),
    }


def settings() -> dict[str, Any]:
    """The rest of what the worker needs for the checks."""
    return {
        "seed": SEED,
        "small_vocab": vocabulary(),
        "batch_size": BATCH_SIZE,
        "trained_batch_size": TRAINED_BATCH_SIZE,
        "forward": FORWARD,
        "max_batches": MAX_BATCHES,
        "train_steps": 30,
        "train_flops": 20_000_000_000,
        # So that a grade does not depend on how many cores there are, nor on who else uses them.
        "threads": 1,
    }
