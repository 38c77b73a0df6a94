"""Evaluation-time systems against their definitions, a word at a time in float64."""

import copy
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evaluation import (
    CacheSettings,
    DynamicSettings,
    attention,
    cached,
    dynamic,
    gradient_rms,
    greedy,
    mean_nll,
    perplexity,
    static,
    tune_cache,
    tune_dynamic,
)
from language_model import LanguageModel

ROOT = Path(__file__).resolve().parents[2]
V = 40


def model(cell="lstm", softmax="full", **settings):
    return LanguageModel(V, 8, 12, 2, cell, 2, softmax, (10,), 3, **settings).eval()


def text(words=60):
    return torch.randint(0, V, (words,))


def whole(made, ids):
    """NLL of each word, read in one go, and the hidden vectors that were asked with."""
    _, features, _ = made.features(ids[None, :-1])
    return made.nll(features, ids[None, 1:])[0].double(), features[0]


@pytest.mark.parametrize("window", [1, 7, 59, 100])
def test_static_evaluation_reads_on_across_windows(window, monkeypatch):
    monkeypatch.setattr(perplexity, "WINDOW", window)
    made, ids = model(), text()
    got = torch.cat(list(static(made, ids)))
    # float32, the sums of a window in another order
    torch.testing.assert_close(got, whole(made, ids)[0].detach(), rtol=1e-5, atol=1e-5)


def plain_cache(made, ids, settings):
    """Equations 2 and 3 of Grave et al. 2017, a word and a pair at a time."""
    nll, features = (t.detach().double() for t in whole(made, ids))
    out = []
    for t in range(len(nll)):
        votes, total = 0.0, 0.0
        for i in range(max(0, t - settings.window), t):
            weight = math.exp(settings.theta * float(features[t] @ features[i]))
            total += weight
            votes += weight * (ids[i + 1] == ids[t + 1]).item()
        p = math.exp(-nll[t])
        out.append(
            -math.log((1 - settings.lam) * p + settings.lam * votes / total) if t else nll[t]
        )
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("window", [1, 5, 1000])
@pytest.mark.parametrize("read_at_a_time", [3, 70])
def test_the_cache_equals_its_definition(window, read_at_a_time, monkeypatch):
    monkeypatch.setattr("evaluation.cache.WINDOW", read_at_a_time)
    made, ids, settings = model(), text(), CacheSettings(window, 0.3, 2.0)
    got = torch.cat(list(cached(made, ids, settings)))
    torch.testing.assert_close(got, plain_cache(made, ids, settings), rtol=1e-5, atol=1e-5)


def test_tuning_the_cache_finds_what_trying_each_setting_finds():
    made, ids = model(), text(20).repeat(4)
    grid = ([2, 30], [0.1, 0.5], [0.5, 4.0])
    best, nll = tune_cache(made, ids, *grid)
    tried = {
        s: mean_nll(cached(made, ids, s))
        for s in itertools.starmap(CacheSettings, itertools.product(*grid))
    }
    assert best == min(tried, key=tried.get)
    assert nll == pytest.approx(tried[best], rel=1e-9)


def plain_dynamic(made, ids, settings, rms):
    """Equation 8 of Krause et al. 2018, on a copy, a parameter at a time."""
    made = copy.deepcopy(made)
    start = {name: p.detach().clone() for name, p in made.named_parameters()}
    if rms:
        mean = sum(r.sum() for r in rms.values()) / sum(r.numel() for r in rms.values())
    out, hidden = [], None
    for begin in range(0, len(ids) - 1, settings.segment):
        here = ids[begin : begin + settings.segment + 1]
        _, features, hidden = made.features(here[None, :-1], hidden)
        nll = made.nll(features, here[None, 1:])[0]
        hidden = [tuple(s.detach() for s in state) for state in hidden]
        made.zero_grad()
        nll.mean().backward()
        out.append(nll.detach().double())
        with torch.no_grad():
            for name, p in made.named_parameters():
                grad = torch.zeros_like(p) if p.grad is None else p.grad
                if rms:
                    step = settings.lr * grad / (rms[name] + settings.epsilon)
                    pull = (settings.decay * rms[name] / mean).clamp(max=1)
                else:
                    step, pull = settings.lr * grad, settings.decay
                p += pull * (start[name] - p) - step
    return torch.cat(out)


def batches(rows=4):
    return [(text(24).view(rows, 6), text(24).view(rows, 6)) for _ in range(3)]


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("rule", ["rms", "sgd"])
def test_dynamic_evaluation_equals_its_definition(rule, softmax):
    made, ids = model(softmax=softmax), text()
    settings = DynamicSettings(rule, lr=0.02, decay=0.05, segment=7)
    rms = gradient_rms(made, batches()) if rule == "rms" else None
    got = torch.cat(list(dynamic(made, ids, settings, rms)))
    assert len(got) == len(ids) - 1
    # float32; errors of single steps add up over nine of them
    torch.testing.assert_close(got, plain_dynamic(made, ids, settings, rms), rtol=1e-4, atol=1e-4)


def test_sgd_without_pull_is_pytorchs_sgd():
    made, ids = model(), text()
    settings = DynamicSettings("sgd", lr=0.5, decay=0.0, segment=59)
    copied = copy.deepcopy(made)
    optimizer = torch.optim.SGD(copied.parameters(), lr=0.5)
    whole(copied, ids)[0].mean().backward()
    optimizer.step()
    twice = torch.cat([ids, ids[1:]])  # a second segment of the same length
    _, _, hidden = made.features(ids[None, :-1])
    _, features, _ = copied.features(twice[None, 59:-1], hidden)
    wanted = copied.nll(features, twice[None, 60:])[0].double()
    _, got = list(dynamic(made, twice, settings))
    torch.testing.assert_close(got, wanted.detach(), rtol=1e-4, atol=1e-4)


def test_gradients_are_collected_as_their_root_mean_square():
    made, given = model(), batches()
    got = gradient_rms(made, given)
    squares, hidden = dict.fromkeys(got, 0.0), None
    for inputs, targets in given:
        _, features, hidden = made.features(inputs, hidden)
        hidden = [tuple(s.detach() for s in state) for state in hidden]
        made.zero_grad()
        made.nll(features, targets).mean().backward()
        for name, p in made.named_parameters():
            squares[name] = squares[name] + p.grad.double() ** 2 / len(given)
    for name, square in squares.items():
        # squares of gradients down to 1e-5 lose digits in float32
        torch.testing.assert_close(got[name].double(), square.sqrt(), rtol=1e-3, atol=1e-7)


def test_dynamic_evaluation_gives_the_trained_weights_back_even_when_left_early():
    made, ids = model(), text()
    before = copy.deepcopy(made.state_dict())
    running = dynamic(made, ids, DynamicSettings("sgd", lr=1.0, decay=0.0))
    next(running), next(running)
    assert not torch.equal(made.embedding.weight, before["embedding.weight"])
    running.close()
    for name, tensor in made.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_both_systems_profit_from_a_text_that_repeats_itself():
    made, ids = model(), text(15).repeat(8)
    plain = mean_nll(static(made, ids))
    assert mean_nll(cached(made, ids, CacheSettings(100, 0.5, 5.0))) < plain - 0.1
    learning = dynamic(made, ids, DynamicSettings("sgd", lr=0.5, decay=0.0))
    assert mean_nll(learning) < plain - 0.1


def test_tuning_dynamic_evaluation_finds_what_trying_each_setting_finds():
    made, ids = model(), text(30).repeat(2)
    base = DynamicSettings("sgd", lr=0.3, decay=0.1)
    best, nll = tune_dynamic(made, ids, base, factors=(0.5, 2.0))
    tried = {
        s: mean_nll(dynamic(made, ids, s))
        for s in (DynamicSettings("sgd", 0.3 * a, 0.1 * b) for a in (0.5, 2.0) for b in (0.5, 2.0))
    }
    assert best == min(tried, key=tried.get)
    assert nll == tried[best]


@pytest.mark.parametrize("softmax", ["full", "adaptive", "mixture", "sigsoftmax"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn", "transformer"])
def test_every_cell_goes_with_every_output_layer_and_every_evaluation(cell, softmax):
    made, ids = model(cell, softmax), text(30)
    nlls = {
        "static": mean_nll(static(made, ids)),
        "cache": mean_nll(cached(made, ids, CacheSettings(10, 0.1, 1.0))),
        "sgd": mean_nll(dynamic(made, ids, DynamicSettings("sgd", 1e-3))),
        "rms": mean_nll(dynamic(made, ids, DynamicSettings(), gradient_rms(made, batches()))),
    }
    # Untrained: uniform guessing is ln 40 = 3.69, and ln 11 + ln 30 = 5.8 for an adaptive
    # softmax's rare words.
    assert all(3.2 < nll < 5.8 for nll in nlls.values()), nlls
    assert greedy(made, ids[None, :5], 4).shape == (1, 4)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="rms or sgd, not 'adam'"):
        DynamicSettings("adam")
    with pytest.raises(ValueError, match="gradient_rms"):
        next(dynamic(model(), text(), DynamicSettings()))
    with pytest.raises(ValueError, match="needs training batches"):
        gradient_rms(model(), [])


def command(tmp_path, *arguments):
    paths = os.pathsep.join(str(ROOT / room) for room in ("solution", "handout", "."))
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, "-m", "evaluation", "--corpus", "numbers", "--threads", "1", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_and_logs_what_it_scored(tmp_path):
    done = command(tmp_path, "--system", "cache", "--tune", "--tune-words", "300", "--words", "400")
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "runs/evaluation/results.jsonl").read_text().splitlines()
    result = json.loads(line)
    assert result["words"] == 399
    assert f"NLL {result['nll']:.4f}" in done.stdout
    assert "tuning on 300 words" in done.stdout
    done = command(tmp_path, "--system", "dynamic", "--words", "100", "--rms-batches", "3")
    assert "rule rms" in done.stdout, done.stderr


def test_the_command_names_what_is_wrong_without_a_traceback(tmp_path):
    done = command(tmp_path, "--weights", "absent.safetensors")
    assert done.returncode == 2
    assert "absent.safetensors" in done.stderr
    assert "Traceback" not in done.stderr


def test_each_row_of_a_picture_of_attention_is_what_the_layer_looks_at(tmp_path):
    made, ids = model("transformer"), text(9)
    looks = attention.weights(made, ids)
    assert looks.shape == (2, 2, 9, 9)
    torch.testing.assert_close(looks.sum(dim=3), torch.ones(2, 2, 9))
    assert looks.triu(1).abs().max() == 0  # no word looks ahead
    first = made.layers[0].attention(made.embedding(made.rank[ids])[None])[0]
    torch.testing.assert_close(looks[0], first)
    attention.draw(looks, [str(i) for i in ids.tolist()], tmp_path / "new" / "heads.png")
    from matplotlib.image import imread

    assert imread(tmp_path / "new" / "heads.png").std() > 0.05


def test_a_model_without_attention_is_refused():
    with pytest.raises(ValueError, match="--cell transformer"):
        attention.weights(model("gru"), text(9))
