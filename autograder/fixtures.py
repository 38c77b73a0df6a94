"""Draws what is graded: prefixes with their next word, and prompts to continue.

Inputs and targets are kept in two files, so that the inputs can go where a submission runs and the
targets never do. Public fixtures come from the validation split with a seed that all know; hidden
ones from the test split with the instructor's secret, which reproduces them exactly.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .corpus import Corpus, Split
from .faults import Fault
from .files import atomic_write

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from .referee import Referee

LENGTH = 20
FORWARD = 10
PREDICTIONS = 1024
GENERATIONS = 128
# A draw's NLL under the referee has a standard error of about 0.08; of all draws this keeps those
# that are no easier or harder than the split.
TOLERANCE = 0.02
MAX_DRAWS = 200
PUBLIC_SEED = "public"
FORMAT = 1


class FixtureError(Fault):
    """Fixtures are missing, damaged or cannot be drawn: a fault of the grader's own."""


@dataclass(frozen=True)
class Fixtures:
    """Inputs and targets of both problems, int64.

    prediction [1024, 20] → next_word [1024]; generation [128, 20] → human [128, 10], the words that
    stand there in the text, for comparison only. `corpus` is the digest of the one they are of.
    """

    prediction: np.ndarray
    generation: np.ndarray
    next_word: np.ndarray
    human: np.ndarray
    corpus: str
    split: str
    public: bool
    referee_nll: float

    @property
    def digest(self) -> str:
        """SHA-256 over all four arrays."""
        digest = hashlib.sha256()
        for array in (self.prediction, self.generation, self.next_word, self.human):
            digest.update(repr(array.shape).encode() + array.astype("<i8").tobytes())
        return digest.hexdigest()


def draw(corpus: Corpus, split: str, secret: str, referee: "Referee") -> Fixtures:
    """Draw balanced fixtures: the same secret gives the same ones.

    Positions are spread over the split, one in each of as many equal stretches as there are rows;
    draws are repeated until the referee finds one as hard as the whole split.

    Raises:
        FixtureError: the split is too small, or no draw was balanced.
    """
    text = corpus.split(split)
    seed = hashlib.sha256(f"{corpus.name}/{split}/{secret}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, dtype="<u4"))
    wanted = referee.measured[split]
    for _ in range(MAX_DRAWS):
        windows = _spread(text, PREDICTIONS, LENGTH + 1, rng)
        nll = float(referee.word_nll(windows[:, :-1], windows[:, -1:]).mean())
        if abs(nll - wanted) <= TOLERANCE:
            break
    else:
        raise FixtureError(
            f"none of {MAX_DRAWS} draws has the referee's NLL {wanted:.3f} of the {split} split: "
            "is this the referee of this corpus?"
        )
    prompts = _spread(text, GENERATIONS, LENGTH + FORWARD, rng)
    return Fixtures(
        prediction=windows[:, :-1],
        generation=prompts[:, :LENGTH],
        next_word=windows[:, -1],
        human=prompts[:, LENGTH:],
        corpus=corpus.digest,
        split=split,
        public=secret == PUBLIC_SEED,
        referee_nll=nll,
    )


def _spread(text: Split, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Cut `count` windows of `length` words, none across two articles; int64 [count, length]."""
    starts = np.concatenate(
        [
            np.arange(begin, end - length + 1)
            for begin, end in zip(text.offsets[:-1], text.offsets[1:], strict=True)
            if end - begin >= length
        ]
    )
    if len(starts) < count:
        raise FixtureError(f"{len(starts)} windows of {length} words where {count} are needed")
    edges = np.linspace(0, len(starts), count + 1).astype(np.int64)
    chosen = starts[rng.integers(edges[:-1], edges[1:])]
    return text.ids[chosen[:, None] + np.arange(length)].astype(np.int64)


def public(corpus: Corpus, referee: "Referee", data: Path) -> Fixtures:
    """Return the public fixtures, drawn at first use and kept in `data`."""
    key = hashlib.sha256(f"{FORMAT}/{corpus.digest}/{referee.digest}".encode()).hexdigest()[:16]
    folder = data / "fixtures" / f"{corpus.name}-{key}"
    try:
        return load(folder)
    except FixtureError:
        fixtures = draw(corpus, "valid", PUBLIC_SEED, referee)
    try:
        save(fixtures, folder)
    except OSError as error:
        raise FixtureError(
            f"the data folder {data} cannot be used ({error}): name another one with LMKIT_DATA="
        ) from error
    return fixtures


def save(fixtures: Fixtures, folder: Path) -> None:
    """Write `inputs.npz`, `targets.npz` and `fixtures.json`, the last one last."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "inputs.npz") as file:
        np.savez(file, prediction=fixtures.prediction, generation=fixtures.generation)
    with atomic_write(folder / "targets.npz") as file:
        np.savez(file, next_word=fixtures.next_word, human=fixtures.human)
    about = {
        "format": FORMAT,
        "corpus": fixtures.corpus,
        "split": fixtures.split,
        "public": fixtures.public,
        "referee_nll": fixtures.referee_nll,
        "digest": fixtures.digest,
    }
    with atomic_write(folder / "fixtures.json") as file:
        file.write(json.dumps(about, indent=2).encode() + b"\n")


def load(folder: Path) -> Fixtures:
    """Read fixtures.

    Raises:
        FixtureError: a file is missing, damaged, or does not have the digest that was written.
    """
    try:
        about = json.loads((folder / "fixtures.json").read_text())
        prediction, generation = _read(folder / "inputs.npz", "prediction", "generation")
        next_word, human = _read(folder / "targets.npz", "next_word", "human")
        fixtures = Fixtures(
            prediction,
            generation,
            next_word,
            human,
            about["corpus"],
            about["split"],
            about["public"],
            about["referee_nll"],
        )
        if about["format"] != FORMAT or about["digest"] != fixtures.digest:
            raise FixtureError(f"{folder} does not hold what its digest says: draw it again")
        return fixtures
    except FixtureError:
        raise
    except Exception as error:
        raise FixtureError(f"no fixtures can be read from {folder}: {error}") from error


def _read(path: Path, *names: str) -> list[np.ndarray]:
    # Opened here, because NumPy leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return [arrays[name] for name in names]
