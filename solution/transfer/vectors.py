"""Word vectors that do not depend on the context: skip-gram, trained by gensim.

What a language model is to be compared with: the same text, the same width, no idea of order.
gensim is an optional extra, imported only where vectors are trained.
"""

import warnings
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

WINDOW = 5  # words on either side, at most
NEGATIVE = 5  # words drawn for each true one
LINE = 1000  # words; gensim cuts longer sentences itself, and drops what is beyond 10,000


class MissingGensimError(ImportError):
    """gensim is not installed."""


def skip_gram(
    articles: Iterable[NDArray[np.int64]],
    vocab_size: int,
    size: int,
    epochs: int = 5,
    seed: int = 0,
) -> nn.Embedding:
    """Train skip-gram vectors with negative sampling (Mikolov et al. 2013, section 2.2).

    Args:
        articles: int64 [words] each.
        vocab_size: words in the vocabulary; those that do not occur get zeros.
        size: features of a vector.
        epochs: over the articles.
        seed: the same seed gives the same vectors, since one thread trains them.

    Returns:
        A frozen embedding, float32 [vocabulary, size], from ids to vectors.

    Raises:
        MissingGensimError: gensim is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of its own dependencies are not ours to mend
            from gensim.models import Word2Vec
    except ModuleNotFoundError as error:
        raise MissingGensimError(
            f"word vectors need gensim, which is not installed (no module named {error.name!r}): "
            "python -m pip install gensim"
        ) from error
    lines = [
        [str(i) for i in article[start : start + LINE]]
        for article in articles
        for start in range(0, len(article), LINE)
    ]
    trained = Word2Vec(
        lines,
        vector_size=size,
        window=WINDOW,
        min_count=1,
        sg=1,
        negative=NEGATIVE,
        epochs=epochs,
        seed=seed + 1,  # gensim takes 0 for "none given"
        workers=1,
    ).wv
    weight = np.zeros((vocab_size, size), dtype=np.float32)
    weight[[int(word) for word in trained.index_to_key]] = trained.vectors
    return nn.Embedding.from_pretrained(torch.from_numpy(weight))
