"""Output layers against naive two-level arithmetic in float64, and against the referee's code."""

import math

import numpy as np
import pytest
import torch
from language_model import LanguageModel
from softmax import AdaptiveSoftmax, FullSoftmax, MixtureOfSoftmaxes, SigSoftmax, chunks, make
from torch import nn

from autograder.referee import Referee, RefereeError


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


KINDS = ["full", "adaptive", "mixture", "sigsoftmax"]


def made(kind, vocab=60, features=8):
    out = make(kind, nn.Parameter(torch.randn(vocab, 8)), features, (10, 25), 3)
    nn.init.normal_(out.bias)
    return out


def plain_log_probs(out, hidden):
    """Each new output layer by its paper's formula, a probability at a time, in float64 NumPy."""
    p = {name: t.detach().double().numpy() for name, t in out.state_dict().items()}
    rows = []
    for h in hidden.double().numpy():
        if isinstance(out, SigSoftmax):
            z = p["weight"] @ h + p["bias"]
            weights = np.exp(z) / (1 + np.exp(-z))
            rows.append(np.log(weights / weights.sum()))
            continue
        prior = np.exp(p["prior.weight"] @ h)
        prior /= prior.sum()
        latent = np.tanh(p["latent.weight"] @ h + p["latent.bias"]).reshape(out.components, -1)
        total = 0
        for share, vector in zip(prior, latent, strict=True):
            scores = np.exp(p["weight"] @ vector + p["bias"])
            total = total + share * scores / scores.sum()
        rows.append(np.log(total))
    return np.array(rows)


@pytest.mark.parametrize(("kind", "features"), [("sigsoftmax", 8), ("mixture", 8), ("mixture", 5)])
def test_sigsoftmax_and_mixture_equal_their_papers_formulas(kind, features):
    out, hidden = made(kind, features=features), torch.randn(5, features)
    # float32 against float64, log-probabilities of the order of 10
    np.testing.assert_allclose(
        out.log_probs(hidden).detach().numpy(), plain_log_probs(out, hidden), atol=2e-5
    )


def test_a_mixture_of_one_is_a_softmax_of_its_latent_vector():
    out = MixtureOfSoftmaxes(nn.Parameter(torch.randn(60, 8)), 8, 1)
    hidden = torch.randn(4, 8)
    latent = out.latent(hidden).tanh()
    torch.testing.assert_close(out.log_probs(hidden), (latent @ out.weight.T).log_softmax(-1))


def rank_of_log_probs(out):
    """Numerical rank of log-probabilities over many contexts, up to a shift for each."""
    log_probs = out.log_probs(torch.randn(200, 3, dtype=torch.float64))
    return torch.linalg.matrix_rank(log_probs - log_probs.mean(dim=1, keepdim=True), rtol=1e-9)


@pytest.mark.parametrize(("kind", "bound"), [("full", True), ("sigsoftmax", False)])
def test_sigsoftmax_leaves_the_subspace_that_a_softmax_is_bound_to(kind, bound, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    out = make(kind, nn.Parameter(torch.randn(60, 3, dtype=torch.float64)), 3, (), 1).double()
    # Yang et al. 2018, section 2.3: at most features + 1
    assert (rank_of_log_probs(out) <= 4) == bound


@pytest.mark.parametrize("kind", KINDS)
def test_every_output_layer_gives_probabilities_and_an_nll_that_agrees(kind):
    out, hidden, targets = made(kind), torch.randn(40, 8), torch.randint(0, 60, (40,))
    log_probs = out.log_probs(hidden)
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(40))
    torch.testing.assert_close(out.nll(hidden, targets), -log_probs[torch.arange(40), targets])


@pytest.mark.parametrize("rows", [1, 7, 40, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_in_chunks_is_the_plain_mean_in_value_and_gradient(kind, rows, monkeypatch):
    for module in ("full", "mixture"):
        monkeypatch.setattr(f"softmax.{module}.SCORES", rows * 60)
    out, targets = made(kind), torch.randint(0, 60, (40,))
    hidden = torch.randn(40, 8, requires_grad=True)
    inputs = [hidden, *out.parameters()]
    chunked, plain = 3 * out.loss(hidden, targets), 3 * out.nll(hidden, targets).mean()
    torch.testing.assert_close(chunked, plain)
    pairs = zip(
        torch.autograd.grad(chunked, inputs), torch.autograd.grad(plain, inputs), strict=True
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b)  # float32's defaults: sums in another order
    with torch.no_grad():
        torch.testing.assert_close(3 * out.loss(hidden, targets), plain)


def test_no_more_scores_than_a_chunks_are_ever_held():
    held = []

    def nll(hidden, targets):
        held.append(len(hidden))
        return hidden.sum(dim=1)

    hidden = torch.randn(25, 4, requires_grad=True)
    loss = chunks.mean_in_chunks(nll, hidden, torch.zeros(25, dtype=torch.int64), [], 10)
    loss.backward()
    assert held == [10, 10, 5]
    torch.testing.assert_close(hidden.grad, torch.full_like(hidden, 1 / 25))


def test_an_unknown_output_layer_is_named():
    with pytest.raises(ValueError, match="'hierarchical'"):
        LanguageModel(50, softmax="hierarchical")


def test_untied_weights_are_apart():
    model = LanguageModel(60, 8, 8, 1, softmax="full", tied=False)
    assert model.decoder.weight is not model.embedding.weight
    assert model.decoder.weight.data_ptr() != model.embedding.weight.data_ptr()


@pytest.mark.parametrize(
    ("softmax", "cutoffs"),
    [("full", ()), ("adaptive", ()), ("adaptive", (10, 25)), ("sigsoftmax", ())],
)
def test_a_zero_hidden_vector_gives_the_words_frequencies(softmax, cutoffs):
    model = LanguageModel(60, 8, 8, 1, softmax=softmax, cutoffs=cutoffs)
    counts = torch.randint(0, 500, (60,))
    model.set_counts(counts)
    probs = model.log_probs(torch.zeros(1, 8)).exp()[0]
    # add-one counts, by id: the order by rank has to be undone
    torch.testing.assert_close(probs, (counts + 1) / (counts + 1).sum())


def test_the_output_layer_shares_the_embeddings_storage():
    model = LanguageModel(60, cutoffs=(10,))
    assert model.decoder.weight is model.embedding.weight


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
@pytest.mark.parametrize(
    ("softmax", "cutoffs"), [("adaptive", ()), ("adaptive", (10, 25)), ("full", (10, 25))]
)
def test_the_referees_own_code_agrees_with_the_model(cell, softmax, cutoffs):
    settings = {"cell": cell, "num_layers": 2, "softmax": softmax, "cutoffs": list(cutoffs)}
    model = LanguageModel(60, 8, 12, **{**settings, "cutoffs": cutoffs}).eval()
    model.set_counts(torch.randint(0, 99, (60,)))
    referee = Referee(dict(model.state_dict()), settings, {}, "")
    text = torch.randint(0, 60, (9, 7))
    log_probs, _ = model(text)
    wanted = -log_probs[:, 3:-1].gather(2, text[:, 4:, None])[..., 0].detach().numpy()
    got = referee.word_nll(text[:, :4].numpy(), text[:, 4:].numpy(), rows=4)
    np.testing.assert_allclose(got, wanted, atol=2e-5)  # float32, two orders of arithmetic


@pytest.mark.parametrize(
    "other", [{"cell": "gru"}, {"softmax": "mixture"}, {"tied": False}], ids=str
)
def test_a_referee_refuses_a_model_that_it_cannot_compute(other):
    settings = {"cell": "lstm", "num_layers": 2, "cutoffs": [], **other}
    with pytest.raises(RefereeError, match="a referee is an LSTM or QRNN"):
        Referee({"rank": torch.arange(9)}, settings, {}, "")
