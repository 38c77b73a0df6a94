"""Known systems to measure a rubric with: models that count, the solution, the texts' own words.

The solution is run in this process, without a sandbox, because it is the instructor's own. Not
covered: anybody's submission, and what the systems earn (`calibrate.py`).
"""

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import score
from .corpus import Corpus
from .fixtures import FORWARD, Fixtures
from .judge import CHUNK
from .ngrams import NGram

ROOT = Path(__file__).resolve().parent.parent
NGRAMS = {"uniform": 0, "unigram": 1, "bigram": 2, "Kneser-Ney 5-gram": 5}
UNTRAINED, QUICK, FULL, HUMAN = "untrained", "quick reference", "full reference", "human text"
NAMES = (*NGRAMS, UNTRAINED, QUICK, FULL, HUMAN)


@dataclass(frozen=True)
class System:
    """What is measured on fixtures.

    nll: the NLLs of the next words, float64 [rows]; None where a system has none.
    words: what it continues the prompts with, int64 [rows, forward].
    """

    name: str
    nll: Callable[[Fixtures], np.ndarray] | None
    words: Callable[[Fixtures], np.ndarray]


def build(
    corpus: Corpus, wanted: tuple[str, ...] = NAMES, full: Path | None = None
) -> Iterator[System]:
    """Build systems one by one; the full reference only where its checkpoint is given."""
    size = len(corpus.vocab)
    for name, order in NGRAMS.items():
        if name in wanted:
            yield counting(name, NGram.fit(corpus.train, size, order))
    if UNTRAINED in wanted:
        yield neural(UNTRAINED, None, size)
    for name, path in ((QUICK, weights(corpus.name)), (FULL, full)):
        if name in wanted and path is not None:
            yield neural(name, path, size)
    if HUMAN in wanted:
        yield System(HUMAN, None, lambda drawn: drawn.human)


def weights(corpus: str) -> Path:
    """Where the solution's weights for a corpus are."""
    stem = "checkpoint" if corpus == "wikitext2" else f"checkpoint.{corpus}"
    return ROOT / "solution" / f"{stem}.safetensors"


def counting(name: str, model: NGram) -> System:
    """A model of counts, which continues greedily."""
    return System(
        name,
        lambda drawn: model.nll(drawn.prediction, drawn.next_word),
        lambda drawn: model.greedy(drawn.generation, FORWARD),
    )


def neural(name: str, path: Path | None, size: int) -> System:
    """The solution with the weights of a checkpoint, or with none, through its own inference.

    It remembers what it said of the last fixtures, for those who ask again.
    """
    sys.path[:0] = [str(ROOT / part) for part in ("solution", "handout")]
    try:
        import checkpoint
        from inference import TestLanguageModel
        from language_model import LanguageModel
    finally:
        del sys.path[:2]
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = LanguageModel(size)
    else:
        model = checkpoint.load(path, LanguageModel, size)

    @functools.lru_cache(maxsize=1)
    def nll(drawn: Fixtures) -> np.ndarray:
        parts = []
        for i in range(0, len(drawn.prediction), CHUNK):
            ids = torch.from_numpy(drawn.prediction[i : i + CHUNK])
            scores = TestLanguageModel.prediction(ids, model).numpy()
            parts.append(score.target_nll(scores, drawn.next_word[i : i + CHUNK]))
        return np.concatenate(parts)

    @functools.lru_cache(maxsize=1)
    def words(drawn: Fixtures) -> np.ndarray:
        ids = torch.from_numpy(drawn.generation)
        return TestLanguageModel.generation(ids, FORWARD, model).numpy()

    return System(name, nll, words)
