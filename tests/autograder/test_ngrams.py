"""ngrams.py: proper distributions that agree with the formulas, counted by dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from autograder.corpus import Split
from autograder.ngrams import NGram

WORDS = 7


def split_of(articles: list[list[int]]) -> Split:
    offsets = np.cumsum([0, *map(len, articles)])
    ids = np.array([word for article in articles for word in article], dtype=np.int32)
    return Split(ids, offsets, np.array([], dtype=np.int64))


@pytest.fixture
def articles(rng) -> list[list[int]]:
    """Short texts over few words, so that every case occurs; word 6 never does."""
    skewed = [0.4, 0.25, 0.15, 0.1, 0.06, 0.04]
    return [rng.choice(6, size, p=skewed).tolist() for size in (40, 3, 1, 25, 60)]


def kneser_ney(articles: list[list[int]], order: int, context: tuple[int, ...], word: int) -> float:
    """Chen and Goodman 1998, equation 2.7 on, word for word, with dictionaries and recursion."""
    counts: Counter = Counter()
    for article in articles:
        for k in range(1, order + 1):
            counts.update(tuple(article[i : i + k]) for i in range(len(article) - k + 1))
    before = defaultdict(set)
    for gram in counts:
        if len(gram) > 1:
            before[gram[1:]].add(gram[0])

    def weight(gram: tuple[int, ...]) -> int:
        return counts[gram] if len(gram) == order else len(before[gram])

    def discount(k: int) -> float:
        weights = [weight(gram) for gram in list(counts) if len(gram) == k]
        once, twice = weights.count(1), weights.count(2)
        return once / (once + 2 * twice) if once else 0.5

    def p(context: tuple[int, ...], word: int) -> float:
        lower = p(context[1:], word) if context else 1 / WORDS
        after = [weight((*context, w)) for w in range(WORDS)]
        if sum(after) == 0:
            return lower
        d = discount(len(context) + 1)
        kinds = sum(w > 0 for w in after)
        return (max(after[word] - d, 0) + d * kinds * lower) / sum(after)

    return p(context[max(0, len(context) - order + 1) :] if order > 1 else (), word)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formula(articles, rng, order):
    model = NGram.fit(split_of(articles), WORDS, order)
    prefix = rng.integers(0, WORDS, size=(12, 6))
    prefix[:6] = [articles[4][i : i + 6] for i in range(6)]  # seen to the full length
    expected = [
        [kneser_ney(articles, order, tuple(row), word) for word in range(WORDS)]
        for row in prefix.tolist()
    ]
    # Both in float64; at most six terms a step.
    np.testing.assert_allclose(model.probabilities(prefix), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_every_distribution_sums_to_one_and_gives_every_word_a_chance(numbers, public, order):
    model = NGram.fit(numbers.train, len(numbers.vocab), order)
    p = model.probabilities(public.prediction)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert p.min() > 0


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_the_nll_of_one_word_is_that_of_the_whole_distribution(numbers, public, order):
    model = NGram.fit(numbers.train, len(numbers.vocab), order)
    p = model.probabilities(public.prediction)
    rows = np.arange(len(p))
    np.testing.assert_allclose(
        model.nll(public.prediction, public.next_word), -np.log(p[rows, public.next_word])
    )


def test_order_0_guesses_evenly_and_order_1_knows_frequencies_only(numbers, public):
    size = len(numbers.vocab)
    uniform = NGram.fit(numbers.train, size, 0).nll(public.prediction, public.next_word)
    assert uniform == pytest.approx(math.log(size))
    p = NGram.fit(numbers.train, size, 1).probabilities(public.prediction[:3])
    counts = np.bincount(numbers.train.ids, minlength=size)
    # All words stand there thousands of times: the discount moves next to nothing.
    np.testing.assert_allclose(p, [counts / counts.sum()] * 3, atol=1e-3)


def test_ids_tell_how_often_a_row_stands_in_the_text_within_articles():
    model = NGram.fit(split_of([[0, 1, 0, 1], [2, 0, 1]]), 3, 3)

    def count(*row: int) -> int:
        found = model.ids(np.array([row]))[0]
        return 0 if found < 0 else int(model.levels[len(row) - 1].count[found])

    assert (count(0), count(2), count(0, 1), count(1, 0)) == (3, 1, 3, 1)
    assert count(1, 2) == 0  # only across two articles
    assert (count(0, 1, 0), count(2, 0, 1), count(2, 2, 2)) == (1, 1, 0)


def test_a_prefix_shorter_than_the_order_is_read_as_far_as_it_goes(articles):
    split = split_of(articles)
    prefix = np.array([[0], [3]])
    np.testing.assert_allclose(
        NGram.fit(split, WORDS, 5).probabilities(prefix).sum(axis=1), 1, rtol=1e-12
    )


def test_greedy_takes_the_likeliest_word_at_each_step(numbers, public):
    model = NGram.fit(numbers.train, len(numbers.vocab), 3)
    prompt = public.generation[:5]
    words = model.greedy(prompt, 4, rows=2)
    for row, text in zip(words.tolist(), prompt.tolist(), strict=True):
        for word in row:
            assert word == model.probabilities(np.array([text]))[0].argmax()
            text.append(word)


def test_more_context_helps_on_wikitext_like_text(rng):
    """On a text where each word says which comes next nine times in ten, a bigram finds it."""
    words = [0]
    for _ in range(5000):
        words.append((words[-1] * 3 + 1) % WORDS if rng.random() < 0.9 else rng.integers(WORDS))
    split = split_of([words[:4000]])
    windows = np.lib.stride_tricks.sliding_window_view(np.array(words[4000:]), 6)
    nll = [
        NGram.fit(split, WORDS, order).nll(windows[:, :5], windows[:, 5]).mean() for order in (1, 2)
    ]
    p = 0.9 + 0.1 / WORDS
    entropy = -p * math.log(p) - (1 - p) * math.log((1 - p) / (WORDS - 1))
    # 1,000 words: a standard error of about 0.03.
    assert nll[1] == pytest.approx(entropy, abs=0.1)
    assert nll[0] > nll[1] + 0.5
