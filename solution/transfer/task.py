"""A target task made of WikiText itself: which kind of section does a paragraph come from?

An article's sections stand under level-two headings (`= = Reception = = <eol>`). A passage is the
beginning of one paragraph of a section, without any heading; its label is the kind of section that
the heading names. A paragraph seldom says what it is, so single words help and do not suffice.

Training passages come from training articles, some of which are held out, whole, to choose epochs
by. Test passages come from validation and test articles, on which no language model was trained.
Not covered: sections under headings outside the table, leads, lists and tables.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autograder.corpus import Corpus

from .batches import pad

EOL = "<eol>"
SHORTEST = 20  # words; shorter paragraphs are captions and lists more often than text
MOST = 8  # passages of a kind from one article, so that long articles do not speak for their kind
HELD_OUT = 8  # one training article in so many is held out

# The kinds of sections: every level-two heading that counts, and nothing else.
SECTIONS: dict[str, tuple[str, ...]] = {
    "history": ("History", "Origins", "Early history"),
    "background": ("Background", "Prelude"),
    "plot": ("Plot", "Synopsis", "Plot summary", "Story", "Plot and setting"),
    "production": ("Production", "Development", "Filming", "Writing and production"),
    "reception": (
        "Reception",
        "Critical reception",
        "Critical response",
        "Release and reception",
        "Commercial performance",
        "Chart performance",
    ),
    "legacy": ("Legacy", "Aftermath", "Impact", "Influence", "In popular culture"),
    "life": (
        "Biography",
        "Early life",
        "Early years",
        "Early life and education",
        "Later life",
        "Life",
        "Personal life",
    ),
    "career": (
        "Career",
        "Club career",
        "College career",
        "High school career",
        "International career",
        "Playing career",
        "Professional career",
    ),
    "place": ("Geography", "Geology", "Location", "Route", "Route description"),
    "description": (
        "Behaviour",
        "Characteristics",
        "Classification",
        "Description",
        "Distribution and habitat",
        "Ecology",
        "Habitat and distribution",
        "Taxonomy",
    ),
}


class TaskError(ValueError):
    """A corpus that the task cannot be made of."""


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages in a row.

    tokens: int64 [words] a passage. labels, articles: int64 [passages], the index of the kind of
    section, and the number of the article, which is another for every article of the three splits.
    """

    tokens: list[NDArray[np.int64]]
    labels: NDArray[np.int64]
    articles: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of passages."""
        return len(self.tokens)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each passage, int64 [passages]."""
        return np.array([len(row) for row in self.tokens], dtype=np.int64)

    def batch(self, where: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return some passages, padded: inputs int64 [batch, time], lengths int64 [batch]."""
        return pad([self.tokens[i] for i in where])

    def take(self, where: NDArray[np.int64]) -> "Passages":
        """Return the passages at some places, int64 or bool, in their order."""
        places = np.arange(len(self))[where]
        return Passages(
            [self.tokens[i] for i in places], self.labels[places], self.articles[places]
        )


@dataclass(frozen=True, eq=False)
class Task:
    """Passages to learn from, to choose epochs by and to be measured on, and the labels' names."""

    train: Passages
    held_out: Passages
    test: Passages
    names: tuple[str, ...]

    @property
    def floor(self) -> int:
        """The commonest label in training: what to answer always, knowing nothing."""
        return int(np.bincount(self.train.labels, minlength=len(self.names)).argmax())


def make(corpus: Corpus, longest: int = 60, at_most: int = 0, seed: int = 0) -> Task:
    """Make the task of a corpus.

    Args:
        corpus: a corpus whose articles have headings.
        longest: words of a passage at most; the rest of its paragraph is left out.
        at_most: training passages at most, drawn at random; 0 for all.
        seed: of that draw.

    Raises:
        TaskError: one of the three parts would be empty.
    """
    parts, first = {}, 0
    for name in ("train", "valid", "test"):
        articles = corpus.split(name).articles()
        parts[name] = _passages(articles, corpus.vocab, longest, first)
        first += len(articles)
    held_out = parts["train"].articles % HELD_OUT == HELD_OUT - 1
    train = parts["train"].take(~held_out)
    if 0 < at_most < len(train):
        drawn = np.random.default_rng(seed).permutation(len(train))[:at_most]
        train = train.take(np.sort(drawn))
    task = Task(
        train,
        parts["train"].take(held_out),
        _joined(parts["valid"], parts["test"]),
        tuple(SECTIONS),
    )
    for name in ("train", "held_out", "test"):
        if len(getattr(task, name)) < 2:
            raise TaskError(
                f"corpus {corpus.name!r} has {len(getattr(task, name))} passages for {name}: "
                "expected articles with sections like `= = History = =`, as in wikitext2"
            )
    return task


def sections(
    article: Iterable[int], vocab: tuple[str, ...]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each paragraph under a level-two heading: the heading's text and the words' ids.

    A paragraph is int64 [words] without its `<eol>`. Headings below the second level belong to
    their section and are left out; a level-one heading, an article's title, ends a section.
    """
    ids = np.fromiter(article, dtype=np.int64)
    heading = ""
    for line in np.split(ids, np.flatnonzero(ids == vocab.index(EOL)) + 1):
        paragraph = line[:-1]
        words = [vocab[i] for i in paragraph]
        level = _level(words)
        if level == 2:
            heading = " ".join(words[2:-2])
        elif level == 1:
            heading = ""
        elif level == 0 and heading and words:
            yield heading, paragraph


def _level(words: list[str]) -> int:
    """Return how many `=` stand at both ends of a line, 0 for one that is no heading."""
    level = 0
    while 2 * level + 2 < len(words) and words[level] == words[-1 - level] == "=":
        level += 1
    return level


def _passages(
    articles: NDArray[np.object_], vocab: tuple[str, ...], longest: int, first: int
) -> Passages:
    if EOL not in vocab:
        articles = articles[:0]  # a corpus without lines has no headings
    kinds = {heading: k for k, headings in enumerate(SECTIONS.values()) for heading in headings}
    tokens, labels, numbers = [], [], []
    for number, article in enumerate(articles, start=first):
        seen: Counter[int] = Counter()
        for heading, paragraph in sections(article, vocab):
            kind = kinds.get(heading)
            if kind is None or len(paragraph) < SHORTEST or seen[kind] == MOST:
                continue
            seen[kind] += 1
            tokens.append(paragraph[:longest].copy())
            labels.append(kind)
            numbers.append(number)
    return Passages(tokens, np.array(labels, dtype=np.int64), np.array(numbers, dtype=np.int64))


def _joined(a: Passages, b: Passages) -> Passages:
    return Passages(
        a.tokens + b.tokens,
        np.concatenate([a.labels, b.labels]),
        np.concatenate([a.articles, b.articles]),
    )
