"""The made-up corpus and numbers that the checks hand to a submission.

Every token of the made-up corpus is different, so that each word in a batch says by itself which
article it stands in and where. Models are built for a vocabulary of just these words.
"""

from typing import Any

import numpy as np

SEED = 11785
ARTICLES = 24
BATCH_SIZE = 8
FORWARD = 6
PROMPT = 12
MAX_BATCHES = 2000


def lengths() -> np.ndarray:
    """Length of each article, int64 [articles]; all different."""
    return np.arange(60, 60 + 7 * ARTICLES, 7, dtype=np.int64)


def vocabulary() -> int:
    """How many words there are: as many as tokens."""
    return int(lengths().sum())


def articles() -> np.ndarray:
    """All articles' ids in one row, int64 [tokens].

    Ids are dealt at random, so that no order of ids can be taken for the order of the text.
    """
    return np.random.default_rng(SEED).permutation(vocabulary()).astype(np.int64)


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
        "forward": FORWARD,
        "max_batches": MAX_BATCHES,
        "train_steps": 30,
        "train_flops": 30_000_000_000,
        # So that a grade does not depend on how many cores there are, nor on who else uses them.
        "threads": 1,
    }
