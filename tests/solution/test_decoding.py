"""Decoding against brute force on a vocabulary of six words."""

import itertools

import pytest
import torch
from evaluation import beam_search, greedy, sample
from inference import TestLanguageModel as Inference
from language_model import LanguageModel

V = 6


@pytest.fixture(params=["lstm", "qrnn"])
def model(request):
    model = LanguageModel(V, 8, 8, 2, cell=request.param, cutoffs=()).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)  # far from uniform, so that the best path is not a matter of rounding
    return model


def log_prob(model, prompt, words):
    """log p of a continuation of one prompt, read from the beginning each time."""
    total = 0.0
    for t in range(len(words)):
        ids = torch.cat([prompt, words[:t]])[None]
        total += model(ids)[0][0, -1, words[t]].item()
    return total


@torch.no_grad()
def test_greedy_takes_the_best_word_after_each_whole_prefix(model):
    prompt = torch.randint(0, V, (4, 5))
    ids = prompt
    for _ in range(6):
        ids = torch.cat([ids, model(ids)[0][:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(greedy(model, prompt, 6), ids[:, 5:])
    assert torch.equal(Inference.generation(prompt, 6, model), ids[:, 5:])


@torch.no_grad()
def test_a_beam_of_one_is_greedy(model):
    prompt = torch.randint(0, V, (4, 5))
    assert torch.equal(beam_search(model, prompt, 6, width=1), greedy(model, prompt, 6))


@torch.no_grad()
def test_a_beam_that_drops_nothing_finds_the_best_of_all_continuations(model):
    prompt = torch.randint(0, V, (3, 4))
    # 6 ** 2 beams before the last of three words: nothing is dropped once they exist
    found = beam_search(model, prompt, 2, width=V)
    for row in range(3):
        every = map(torch.tensor, itertools.product(range(V), repeat=2))
        best = max(every, key=lambda words: log_prob(model, prompt[row], words))
        assert torch.equal(found[row], best)


@torch.no_grad()
def test_a_wider_beam_is_at_least_as_probable_here(model):
    prompt = torch.randint(0, V, (4, 5))
    narrow, wide = (beam_search(model, prompt, 4, width=w) for w in (1, 5))
    for row in range(4):
        a, b = (log_prob(model, prompt[row], words[row]) for words in (narrow, wide))
        assert b >= a - 1e-4


@torch.no_grad()
def test_sampling_from_the_single_best_word_is_greedy(model):
    prompt = torch.randint(0, V, (4, 5))
    wanted = greedy(model, prompt, 5)
    assert torch.equal(sample(model, prompt, 5, top_k=1), wanted)
    assert torch.equal(sample(model, prompt, 5, top_p=1e-6), wanted)


@torch.no_grad()
def test_samples_have_the_models_probabilities(model):
    prompt = torch.randint(0, V, (1, 5)).expand(4000, -1)
    drawn = sample(model, prompt, 1, temperature=2.0)[:, 0].bincount(minlength=V) / 4000
    wanted = (model(prompt[:1])[0][0, -1] / 2.0).softmax(-1)
    # 4,000 draws: a share's standard error is at most 0.008
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=0.033)


@torch.no_grad()
def test_nucleus_sampling_stays_in_the_nucleus_and_reaches_all_of_it(model):
    prompt = torch.randint(0, V, (1, 5)).expand(3000, -1)
    probs, order = model(prompt[:1])[0][0, -1].softmax(-1).sort(descending=True)
    size = int((probs.cumsum(0) < 0.8).sum()) + 1
    nucleus = {w for w, p in zip(order[:size].tolist(), probs.tolist(), strict=False) if p > 0.005}
    drawn = set(sample(model, prompt, 1, top_p=0.8).flatten().tolist())
    assert nucleus <= drawn <= set(order[:size].tolist())


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"top_k": -1}, {"top_p": 0}, {"top_p": 2}])
def test_sampling_refuses_what_has_no_meaning(model, wrong):
    with pytest.raises(ValueError, match="needed"):
        sample(model, torch.zeros(1, 2, dtype=torch.int64), 1, **wrong)


@torch.no_grad()
def test_prediction_scores_the_word_after_the_last(model):
    ids = torch.randint(0, V, (3, 7))
    torch.testing.assert_close(Inference.prediction(ids, model), model(ids)[0][:, -1])
    torch.testing.assert_close(
        Inference.prediction(ids.numpy(), model.train()), model.eval()(ids)[0][:, -1]
    )
