"""diagnosis.py: small models trained with the bug, and the cause that their NLLs give away."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder import diagnosis, score
from autograder.ngrams import NGram

WINDOW = 16


class Small(nn.Module):
    """A GRU, or with `blind` one number a word whatever was read."""

    def __init__(self, size: int, blind: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, 32)
        self.layer = nn.GRU(32, 64, batch_first=True)
        self.decoder = nn.Linear(64, size)
        self.blind = blind

    def forward(self, ids: Tensor) -> Tensor:
        features = self.layer(self.embedding(ids))[0]
        return self.decoder(0 * features if self.blind else features)


def trained(corpus, ahead: int, blind: bool = False, steps: int = 100) -> Small:
    """Train on windows whose targets are `ahead` words ahead of the inputs: one is right."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Small(len(corpus.vocab), blind)
        text = torch.from_numpy(corpus.train.stream())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(steps):
            at = torch.randint(len(text) - WINDOW - 2, (32, 1)) + torch.arange(WINDOW)
            loss = F.cross_entropy(model(text[at]).flatten(0, 1), text[at + ahead].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@pytest.fixture(scope="module")
def models(numbers) -> dict[str, Small]:
    return {
        "right": trained(numbers, 1, steps=50),
        "not shifted": trained(numbers, 0),
        "shifted twice": trained(numbers, 2),
        "blind": trained(numbers, 1, blind=True, steps=300),
        "untrained": trained(numbers, 1, steps=0),
    }


@pytest.fixture
def words(public) -> np.ndarray:
    return np.column_stack([public.next_word, public.after_next, public.prediction[:, -1]])


@torch.no_grad()
def scores_of(model: Small, fixtures) -> Tensor:
    return model(torch.from_numpy(fixtures.prediction))[:, -1]


def hint_of(scores: Tensor, words: np.ndarray, corpus) -> str:
    return diagnosis.of_prediction(score.target_nll(scores.numpy(), words), words, corpus, 2)


@pytest.mark.parametrize(
    ("bug", "named"),
    [
        ("not shifted", ("the prefix's own last word far better", "targets that are not shifted")),
        ("shifted twice", ("the word after the next one far better", "shifted twice")),
        ("blind", ("word frequencies alone", "nothing of the prefix")),
        ("untrained", ("hardly better than guessing (3.40)", "untrained")),
    ],
)
def test_a_model_trained_with_a_bug_gives_it_away(numbers, public, words, models, bug, named):
    hint = hint_of(scores_of(models[bug], public), words, numbers)
    for part in named:
        assert part in hint


def test_the_numbers_told_are_those_of_the_words(numbers, public, words, models):
    scores = scores_of(models["shifted twice"], public)
    nll = score.target_nll(scores.numpy(), words).mean(axis=0)
    hint = hint_of(scores, words, numbers)
    assert f"(NLL {nll[1]:.2f}) than the next word (NLL {nll[0]:.2f})" in hint


def test_a_right_model_that_wants_training_gives_nothing_away(numbers, public, words, models):
    scores = scores_of(models["right"], public)
    assert 0.3 < score.target_nll(scores.numpy(), words)[:, 0].mean() < 2.5
    assert hint_of(scores, words, numbers) == ""


def test_probabilities_in_place_of_scores_land_just_below_guessing(numbers, public, words, models):
    scores = scores_of(models["right"], public).softmax(dim=1)
    assert "probabilities where scores are wanted" in hint_of(scores, words, numbers)


def test_another_order_of_the_words_is_worse_than_guessing(numbers, public, words, models):
    scores = 3 * scores_of(models["right"], public).flip(1)
    assert "worse than guessing (3.40): are the words in another order" in (
        hint_of(scores, words, numbers)
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_only_the_model_of_word_frequencies_is_taken_for_one(numbers, public, words, order):
    p = NGram.fit(numbers.train, len(numbers.vocab), order).probabilities(public.prediction)
    hint = hint_of(torch.from_numpy(np.log(p)), words, numbers)
    assert ("word frequencies alone" in hint) is (order == 1)


def test_a_model_of_the_same_nll_that_reads_the_prefix_is_not_taken_for_one(
    numbers, public, words, models
):
    scores = scores_of(models["right"], public)
    wanted = diagnosis.frequency_nll(words, numbers)[:, 0].mean()
    low, high = 0.0, 1.0  # of the scores' size; flatter ones are worse
    for _ in range(20):
        middle = (low + high) / 2
        nll = score.target_nll((middle * scores).numpy(), words)[:, 0].mean()
        low, high = (middle, high) if nll > wanted else (low, middle)
    assert nll == pytest.approx(wanted, abs=1e-3)
    assert "word frequencies" not in hint_of(middle * scores, words, numbers)


def test_frequencies_are_counted_in_the_training_split(numbers):
    size = len(numbers.vocab)
    nll = diagnosis.frequency_nll(np.arange(size), numbers)
    assert math.fsum(np.exp(-nll)) == pytest.approx(1)
    assert nll[numbers.vocab.index(".")] == nll.min()
