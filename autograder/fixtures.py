"""Draws what is graded: prefixes with their next word, and prompts to continue.

Inputs and targets are kept in two files, so that the inputs can go where a submission runs and the
targets never do. With the targets stands the referee's NLL of each, from which grading computes how
much of an NLL is the luck of the draw (`score.controlled`). Public fixtures come from the
validation split with a seed that all know; hidden ones from the test split with the instructor's
secret, which reproduces them exactly.
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
# The deviation of the reference's NLL is about 3.5 nats a word: 0.094 for a mean of so many. They
# are a whole number of the grader's chunks.
PREDICTIONS = 1408
GENERATIONS = 128
# A draw's NLL under the referee has a standard error of about 0.09; of all draws this keeps those
# that are no easier or harder than the split.
TOLERANCE = 0.02
MAX_TOSSES = 10_000
PUBLIC_SEED = "public"
FORMAT = 2
_INPUTS = ("prediction", "generation")
_TARGETS = ("next_word", "after_next", "human", "control")


class FixtureError(Fault):
    """Fixtures are missing, damaged or cannot be drawn: a fault of the grader's own."""


@dataclass(frozen=True, eq=False)
class Fixtures:
    """Inputs and targets of both problems, int64.

    prediction [1408, 20] → next_word [1408], and after_next [1408], the word behind it, which tells
    a shift made twice; generation [128, 20] → human [128, 10], the words that stand there in the
    text, for comparison only. `control` is float64 [1408], the referee's NLL of each next word, and
    `control_mean` that of the whole split. `corpus` is the digest of the one they are of.
    """

    prediction: np.ndarray
    generation: np.ndarray
    next_word: np.ndarray
    after_next: np.ndarray
    human: np.ndarray
    control: np.ndarray
    control_mean: float
    corpus: str
    split: str
    public: bool

    @property
    def referee_nll(self) -> float:
        """The referee's NLL on this draw."""
        return float(self.control.mean())

    @property
    def digest(self) -> str:
        """SHA-256 over all words.

        Not over `control`, whose last bits another processor computes otherwise: the same secret
        has the same digest everywhere.
        """
        digest = hashlib.sha256()
        words = (self.prediction, self.generation, self.next_word, self.after_next, self.human)
        for array in words:
            digest.update(repr(array.shape).encode() + array.astype("<i8").tobytes())
        return digest.hexdigest()


def draw(corpus: Corpus, split: str, secret: str, referee: "Referee") -> Fixtures:
    """Draw balanced fixtures: the same secret gives the same ones.

    Positions are spread over the split, one in each of as many equal stretches as there are rows.
    Each row has two candidates, and which of them it takes is tossed until the referee, which reads
    each once, finds the draw as hard as the whole split.

    Raises:
        FixtureError: the split is too small, or no draw was balanced.
    """
    text = corpus.split(split)
    seed = hashlib.sha256(f"{corpus.name}/{split}/{secret}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, dtype="<u4"))
    wanted = referee.measured[split]
    pairs = np.stack([spread(text, PREDICTIONS, LENGTH + 2, rng) for _ in range(2)])
    nll = np.stack(
        [referee.word_nll(part[:, :LENGTH], part[:, LENGTH : LENGTH + 1])[:, 0] for part in pairs]
    )
    rows = np.arange(PREDICTIONS)
    for _ in range(MAX_TOSSES):
        side = rng.integers(0, 2, PREDICTIONS)
        control = nll[side, rows]
        if abs(control.mean() - wanted) <= TOLERANCE:
            break
    else:
        raise FixtureError(
            f"none of {MAX_TOSSES} draws has the referee's NLL {wanted:.3f} of the {split} split: "
            "is this the referee of this corpus?"
        )
    windows = pairs[side, rows]
    prompts = spread(text, GENERATIONS, LENGTH + FORWARD, rng)
    return Fixtures(
        prediction=windows[:, :LENGTH],
        generation=prompts[:, :LENGTH],
        next_word=windows[:, LENGTH],
        after_next=windows[:, LENGTH + 1],
        human=prompts[:, LENGTH:],
        control=control,
        control_mean=wanted,
        corpus=corpus.digest,
        split=split,
        public=secret == PUBLIC_SEED,
    )


def spread(text: Split, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
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
        np.savez(file, **{name: getattr(fixtures, name) for name in _INPUTS})
    with atomic_write(folder / "targets.npz") as file:
        np.savez(file, **{name: getattr(fixtures, name) for name in _TARGETS})
    about = {
        "format": FORMAT,
        "corpus": fixtures.corpus,
        "split": fixtures.split,
        "public": fixtures.public,
        "control_mean": fixtures.control_mean,
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
        if about["format"] != FORMAT:
            raise FixtureError(
                f"the fixtures in {folder} are of format {about['format']}, drawn by another "
                f"version of the kit; this one grades with format {FORMAT}: draw them again with "
                "`make fixtures SECRET_FILE=…`"
            )
        fixtures = Fixtures(
            **_read(folder / "inputs.npz", _INPUTS),
            **_read(folder / "targets.npz", _TARGETS),
            **{name: about[name] for name in ("control_mean", "corpus", "split", "public")},
        )
        if about["digest"] != fixtures.digest:
            raise FixtureError(f"{folder} does not hold what its digest says: draw it again")
        return fixtures
    except FixtureError:
        raise
    except Exception as error:
        raise FixtureError(f"no fixtures can be read from {folder}: {error}") from error


def _read(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    # Opened here, because NumPy leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}
