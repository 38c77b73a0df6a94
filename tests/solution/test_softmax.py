"""Output layers against naive two-level arithmetic in float64, and against the referee's code."""

import math

import numpy as np
import pytest
import torch
from language_model import LanguageModel
from softmax import AdaptiveSoftmax, FullSoftmax
from torch import nn

from autograder.referee import Referee


def layer(vocab=60, features=8, cutoffs=(10, 25), div_value=1.0):
    weight = nn.Parameter(torch.randn(vocab, features))
    out = AdaptiveSoftmax(weight, cutoffs, div_value)
    nn.init.normal_(out.bias)
    return out


def naive_log_prob(out, hidden, word):
    """log p of one word for one hidden vector, by the definition, in float64 NumPy."""
    w, b, h = (t.detach().double().numpy() for t in (out.weight, out.bias, hidden))
    cluster_scores = out.clusters.weight.detach().double().numpy() @ h
    cluster_scores += out.clusters.bias.detach().double().numpy()
    head = np.concatenate([w[: out.edges[1]] @ h + b[: out.edges[1]], cluster_scores])
    head = head - math.log(np.exp(head).sum())
    if word < out.edges[1]:
        return head[word]
    k = next(k for k in range(1, len(out.edges) - 1) if word < out.edges[k + 1])
    start, end = out.edges[k], out.edges[k + 1]
    projected = out.projections[k - 1].weight.detach().double().numpy() @ h
    scores = w[start:end, : len(projected)] @ projected + b[start:end]
    inside = scores[word - start] - math.log(np.exp(scores).sum())
    return inside + head[out.edges[1] + k - 1]


@pytest.mark.parametrize("div_value", [1.0, 2.0])
def test_adaptive_softmax_equals_the_two_level_definition(div_value):
    out, hidden = layer(div_value=div_value), torch.randn(5, 8)
    wanted = [[naive_log_prob(out, h, word) for word in range(60)] for h in hidden]
    # float32 against float64, log-probabilities of the order of 10
    np.testing.assert_allclose(out.log_probs(hidden).detach().numpy(), wanted, atol=2e-5)


def test_probabilities_sum_to_one():
    total = layer().log_probs(torch.randn(7, 8)).exp().sum(dim=-1)
    torch.testing.assert_close(total, torch.ones(7))


@pytest.mark.parametrize("cutoffs", [(10, 25), (10,), (59,)])
def test_nll_is_minus_the_targets_log_probability(cutoffs):
    out, hidden, targets = layer(cutoffs=cutoffs), torch.randn(200, 8), torch.randint(0, 60, (200,))
    wanted = -out.log_probs(hidden)[torch.arange(200), targets]
    torch.testing.assert_close(out.nll(hidden, targets), wanted)


def test_nll_has_the_gradient_of_the_log_probability():
    out, hidden, targets = layer(), torch.randn(50, 8), torch.randint(0, 60, (50,))
    fast = torch.autograd.grad(out.nll(hidden, targets).mean(), list(out.parameters()))
    slow = -out.log_probs(hidden)[torch.arange(50), targets].mean()
    for a, b in zip(fast, torch.autograd.grad(slow, list(out.parameters())), strict=True):
        torch.testing.assert_close(a, b)


def test_a_vocabulary_below_the_first_cutoff_has_a_plain_softmax():
    out = layer(vocab=9, cutoffs=(10, 25))
    hidden = torch.randn(4, 8)
    wanted = (hidden @ out.weight.T + out.bias).log_softmax(-1)
    torch.testing.assert_close(out.log_probs(hidden), wanted)


def test_full_softmax_equals_cross_entropy():
    out = FullSoftmax(nn.Parameter(torch.randn(60, 8)))
    hidden, targets = torch.randn(30, 8), torch.randint(0, 60, (30,))
    wanted = nn.functional.cross_entropy(hidden @ out.weight.T, targets, reduction="none")
    torch.testing.assert_close(out.nll(hidden, targets), wanted)
    picked = out.log_probs(hidden)[torch.arange(30), targets]
    torch.testing.assert_close(picked, -wanted)


@pytest.mark.parametrize("cutoffs", [(), (10, 25)])
def test_a_zero_hidden_vector_gives_the_words_frequencies(cutoffs):
    model = LanguageModel(60, 8, 8, 1, cutoffs=cutoffs)
    counts = torch.randint(0, 500, (60,))
    model.set_counts(counts)
    probs = model.log_probs(torch.zeros(1, 8)).exp()[0]
    # add-one counts, by id: the order by rank has to be undone
    torch.testing.assert_close(probs, (counts + 1) / (counts + 1).sum())


def test_the_output_layer_shares_the_embeddings_storage():
    model = LanguageModel(60, cutoffs=(10,))
    assert model.decoder.weight is model.embedding.weight


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
@pytest.mark.parametrize("cutoffs", [(), (10, 25), (500,)])
def test_the_referees_own_code_agrees_with_the_model(cell, cutoffs):
    settings = {"cell": cell, "num_layers": 2, "cutoffs": list(cutoffs)}
    model = LanguageModel(60, 8, 12, **{**settings, "cutoffs": cutoffs}).eval()
    model.set_counts(torch.randint(0, 99, (60,)))
    referee = Referee(dict(model.state_dict()), settings, {}, "")
    text = torch.randint(0, 60, (9, 7))
    log_probs, _ = model(text)
    wanted = -log_probs[:, 3:-1].gather(2, text[:, 4:, None])[..., 0].detach().numpy()
    got = referee.word_nll(text[:, :4].numpy(), text[:, 4:].numpy(), rows=4)
    np.testing.assert_allclose(got, wanted, atol=2e-5)  # float32, two orders of arithmetic
