"""Count-based language models: uniform, unigram, bigram, interpolated Kneser-Ney of any order.

They are yardsticks for thresholds: a model that counts should not pass where one has to learn.
`NGram.fit(split, vocab_size, order)` with order 0 guesses evenly, 1 knows word frequencies, 2 the
word before, 5 is the classic strong baseline. Kneser and Ney 1995 in the interpolated form of Chen
and Goodman 1998 (section 2.7), one discount an order: a word seen after a context loses D of its
count, what all lose goes to the shorter context, and below the highest order a word counts by how
many different words it has followed. No n-gram reaches across two articles. Not covered: the three
discounts of their "modified" form, pruning, unknown words.
"""

from dataclasses import dataclass

import numpy as np

from .corpus import Split


@dataclass(frozen=True)
class Level:
    """All k-grams of a text, sorted; a k-gram's id is its place here.

    keys: int64 [grams], the id of the first k-1 words times the vocabulary's size, plus the last.
    count: int64 [grams], how often it stands in the text.
    weight: float64 [grams], the count of Kneser and Ney.
    offsets: int64 [contexts + 1], where each context's words begin; they stand side by side.
    total, kinds: float64 [contexts], the sum of its words' weights, and how many are above 0.
    discount: taken off each weight.
    """

    keys: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    offsets: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    discount: float


class NGram:
    """A model of the word after the last `order` - 1 words; `levels[k - 1]` holds the k-grams."""

    def __init__(self, levels: list[Level], vocab_size: int) -> None:
        self.levels, self.vocab_size = levels, vocab_size
        self.frequencies = np.full(vocab_size, 1 / vocab_size)  # with no context at all
        for level in levels[:1]:
            self.frequencies *= level.discount * level.kinds / level.total
            self.frequencies[level.keys] += _kept(level, slice(None)) / level.total

    @property
    def order(self) -> int:
        """Words of the longest n-gram."""
        return len(self.levels)

    @classmethod
    def fit(cls, split: Split, vocab_size: int, order: int) -> "NGram":
        """Count the n-grams of a split, up to `order` words long."""
        words = split.ids.astype(np.int64)
        place = np.arange(len(words)) - np.repeat(split.offsets[:-1], np.diff(split.offsets))
        gram = np.zeros(len(words), dtype=np.int64)  # id of the k-gram that ends at each word
        counted = []
        for k in range(1, order + 1):
            ends = np.flatnonzero(place >= k - 1)
            context = np.append(0, gram[:-1])
            keys, first, inverse, count = np.unique(
                context[ends] * vocab_size + words[ends],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            counted.append((keys, count, gram[ends[first]]))  # the last: id of its last k-1 words
            gram = np.full(len(words), -1)
            gram[ends] = inverse
        levels = []
        for k, (keys, count, _) in enumerate(counted):
            longer = counted[k + 1 : k + 2]
            weight = np.bincount(longer[0][2], minlength=len(keys)) if longer else count
            contexts = len(counted[k - 1][0]) if k else 1
            levels.append(_level(keys, count, weight, contexts, vocab_size))
        return cls(levels, vocab_size)

    def ids(self, words: np.ndarray) -> np.ndarray:
        """Return the id of each row of int64 [n, k] among the k-grams, -1 where it never stood.

        `levels[k - 1].count[id]` says how often it did; k is at most `order`.
        """
        found = np.zeros(len(words), dtype=np.int64)
        for level, last in zip(self.levels, words.T, strict=False):
            key = np.where(found < 0, -1, found * self.vocab_size + last)
            place = np.minimum(np.searchsorted(level.keys, key), len(level.keys) - 1)
            found = np.where(level.keys[place] == key, place, -1)
        return found

    def nll(self, prefix: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return the NLL of one word after each row: int64 [n, length] and [n] to float64 [n]."""
        p = np.full(len(prefix), 1 / self.vocab_size)
        for k, level in enumerate(self.levels):
            context, seen = self._context(prefix, k)
            gram = self.ids(np.column_stack([_last(prefix, k), words]))
            own = np.where(gram < 0, 0.0, _kept(level, gram))
            rest = level.discount * level.kinds[context]
            p = np.where(seen, (own + rest * p) / np.where(seen, level.total[context], 1.0), p)
        return -np.log(p)

    def probabilities(self, prefix: np.ndarray) -> np.ndarray:
        """Return the whole distribution after each row, float64 [n, vocabulary]; rows sum to one.

        It takes 8 bytes a row and word: call it on a few rows at a time.
        """
        p = np.tile(self.frequencies, (len(prefix), 1))
        for k, level in enumerate(self.levels[1:], 1):
            context, seen = self._context(prefix, k)
            total = np.where(seen, level.total[context], 1.0)
            p *= np.where(seen, level.discount * level.kinds[context] / total, 1.0)[:, None]
            # Every word that was seen after each row's context, one row's after another's.
            begin = level.offsets[context]
            size = np.where(seen, level.offsets[context + 1] - begin, 0)
            row = np.repeat(np.arange(len(prefix)), size)
            grams = np.arange(size.sum()) + np.repeat(begin - np.cumsum(size) + size, size)
            p[row, level.keys[grams] % self.vocab_size] += _kept(level, grams) / total[row]
        return p

    def greedy(self, prompt: np.ndarray, forward: int, rows: int = 64) -> np.ndarray:
        """Continue each row of int64 [n, length] by the likeliest words, int64 [n, forward]."""
        text = prompt
        for _ in range(forward):
            parts = [text[i : i + rows] for i in range(0, len(text), rows)]
            best = np.concatenate([self.probabilities(part).argmax(axis=1) for part in parts])
            text = np.column_stack([text, best])
        return text[:, prompt.shape[1] :]

    def _context(self, prefix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the id of each row's last k words, and whether a word was counted after them."""
        words = _last(prefix, k)
        if words.shape[1] < k:  # a prefix shorter than that
            return np.zeros(len(prefix), dtype=np.int64), np.zeros(len(prefix), dtype=bool)
        context = self.ids(words)
        return np.maximum(context, 0), (context >= 0) & (self.levels[k].total[context] > 0)


def _last(prefix: np.ndarray, k: int) -> np.ndarray:
    return prefix[:, max(0, prefix.shape[1] - k) :]


def _kept(level: Level, grams: np.ndarray | slice) -> np.ndarray:
    return np.maximum(level.weight[grams] - level.discount, 0.0)


def _level(
    keys: np.ndarray, count: np.ndarray, weight: np.ndarray, contexts: int, vocab_size: int
) -> Level:
    context = keys // vocab_size
    once, twice = (int((weight == times).sum()) for times in (1, 2))
    return Level(
        keys,
        count,
        weight.astype(np.float64),
        np.searchsorted(keys, np.arange(contexts + 1) * vocab_size),
        np.bincount(context, weight, minlength=contexts),
        np.bincount(context, weight > 0, minlength=contexts),
        # The estimate of Ney, Essen and Kneser 1994; a text too small to have it gets the middle.
        once / (once + 2 * twice) if once else 0.5,
    )
