"""checks/trainer.py: what a training step, an epoch, validation and saving gave, in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autograder.checks import made_up, trainer
from autograder.run import Observation

UNIFORM = math.log(made_up.vocabulary())
FALLING = np.linspace(UNIFORM, UNIFORM - 2, 30)
OF_BATCH = {"targets": UNIFORM - 2, "inputs": UNIFORM - 1.9, "after": UNIFORM}
WATCHED = {
    "backward": 30,
    "backward_in_eval_mode": 0,
    "calls": 30,
    "gradients": {f"w{i}": [29, 0] for i in range(13)},
}
TRAINED = {
    "tokens": 420,
    "first_nll": dict.fromkeys(OF_BATCH, UNIFORM),
    "last_nll": OF_BATCH,
    "unread_nll": {"targets": UNIFORM + 3, "inputs": UNIFORM - 2, "after": UNIFORM + 3},
    "unread_loss": UNIFORM + 3.3,
    "unmoved": [],
    "parameter_count": 13,
    **WATCHED,
}


def judged(**steps: Observation) -> dict[str, tuple]:
    """Judge a good trainer's observations, some replaced; `(passed, message, hint)` by name."""
    scores = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    good = {
        "import": Observation("trainer.import", "ok"),
        "batch": batch(),
        "epoch": epoch(),
        "test": validated(UNIFORM + 0.1),
        "save": Observation(
            "trainer.save",
            "ok",
            arrays={"saved": scores, "loaded": scores + np.float32(1e-5)},
            values={"files": ["checkpoint.safetensors"]},
        ),
    }
    seen = {f"trainer.{name}": steps.get(name, step) for name, step in good.items()}
    found = {v.id: (v.passed, v.message, v.hint) for v in trainer.judge(seen, ())}
    return {id.partition(".")[2]: row for id, row in found.items()}


def batch(losses=FALLING, **values) -> Observation:
    arrays = {} if losses is None else {"losses": np.asarray(losses, dtype=np.float32)}
    return Observation("trainer.batch", "ok", arrays, {**TRAINED, **values})


def epoch(**values) -> Observation:
    return Observation("trainer.epoch", "ok", values={**WATCHED, "batches": 30, **values})


def validated(nll, **values) -> Observation:
    return Observation("trainer.test", "ok", values={**WATCHED, "nll": nll, **values})


def failed(found: dict[str, tuple]) -> set[str]:
    return {name for name, row in found.items() if row[0] is False}


def test_a_good_trainer_passes_every_check():
    assert {row[0] for row in judged().values()} == {True}


@pytest.mark.parametrize("values", [{"first_nll": None}, {"first_nll": 40.0}, {"tokens": None}])
def test_an_untrained_models_loss_is_compared_with_its_own_nll(values):
    wanted = values.get("first_nll") or UNIFORM
    values = values | {"first_nll": {"targets": values.get("first_nll")}}
    assert failed(judged(batch=batch(FALLING + wanted - UNIFORM, **values))) == set()


def of(targets: float, inputs: float, after: float) -> dict[str, float]:
    return {"targets": targets, "inputs": inputs, "after": after}


RIGHT = {
    "a model that tells no words apart": {"last_nll": of(6.5, 6.4, 6.6)},
    "scores that could not be read": {"last_nll": None, "unread_nll": None},
    "no other batch": {"unread_loss": None},
    "a model that knows what it has read, for its weights are tied": {
        "last_nll": of(UNIFORM - 2, 1.0, UNIFORM),
        "unread_nll": of(UNIFORM + 3, 1.0, UNIFORM),
    },
    "heavy dropout": {"unread_loss": UNIFORM + 9},
    "scores in another order than the inputs": {"last_nll": of(15.0, 13.0, 14.0)},
    "gradients cleared in train(), around train_batch": {
        "gradients": {f"w{i}": [29, 29] for i in range(13)}
    },
    "gradients of several batches added up, a step every second one": {
        "gradients": {f"w{i}": [14, 0] for i in range(13)}
    },
    "one weight that is never cleared, but also never moves": {"gradients": {"w0": [0, 0]}},
    "half of the losses made for a look at them, in eval mode": {"backward_in_eval_mode": 15},
    "nothing seen of backward": {"backward": 0, "gradients": {}, "calls": 0},
}


@pytest.mark.parametrize("values", RIGHT.values(), ids=RIGHT)
def test_a_right_trainer_of_another_style_loses_nothing(values):
    assert failed(judged(batch=batch(**values))) == set()


def test_a_trainer_of_whose_training_nothing_is_seen_loses_nothing():
    nothing = {"backward": 0, "backward_in_eval_mode": 0, "calls": 0, "gradients": {}}
    found = judged(
        batch=batch(**nothing), epoch=epoch(**nothing), test=validated(UNIFORM, **nothing)
    )
    assert failed(found) == set()


MISTAKES = {
    "None in place of a loss": (
        batch(None, no_loss=True),
        dict.fromkeys(("loss", "learns", "updates", "mode"), ("returned None", "mean loss")),
    ),
    "NaN": (
        batch([8.1, 8.0, math.nan, 7.0]),
        dict.fromkeys(("loss", "learns", "updates", "mode"), ("is nan at step 3 of 4", "clip")),
    ),
    "infinite": (
        batch([math.inf]),
        dict.fromkeys(("loss", "learns", "updates", "mode"), ("is inf at step 1", "log of zero")),
    ),
    "summed over the batch": (
        batch(FALLING * 420),
        {"loss": ("420 times as much, with 420 words", "a sum is returned")},
    ),
    "divided by the number of words twice": (
        batch(FALLING / 56),
        {"loss": ("56 times less", "taken twice")},
    ),
    "in bits": (
        batch(FALLING / math.log(2) * 2),
        {"loss": ("nats a word", "-log p(target)")},
    ),
    "a softmax before CrossEntropyLoss": (
        batch(np.linspace(UNIFORM, UNIFORM - 0.01, 30)),
        {
            "learns": (
                "probabilities in place of scores the loss is between 6.07",
                "a softmax before",
            )
        },
    ),
    "no optimizer.step()": (
        batch(np.full(30, UNIFORM), unmoved=[f"w{i}" for i in range(13)]),
        {
            "learns": (
                "no weight has changed, though gradients came to the weights 30 times",
                "optimizer.zero_grad(), loss.backward()",
            ),
            "updates": ("none of the 13 weight tensors", "optimizer.step(), in this order"),
        },
    ),
    "no backward()": (
        batch(np.full(30, UNIFORM), unmoved=[f"w{i}" for i in range(13)], backward=0, gradients={}),
        {
            "learns": ("no weight has changed, nor did any weight get a gradient", "loss.backward"),
            "updates": ("has changed, nor did any weight get a gradient", "loss.backward()"),
        },
    ),
    "a loss that grows": (
        batch(np.linspace(UNIFORM, 40, 30)),
        {"learns": ("from 7.0750 to 40.0000, where it has to fall", "lower the learning rate")},
    ),
    "a loss that stays": (
        batch(np.linspace(UNIFORM + 1, UNIFORM + 0.99, 30)),
        {"learns": ("from 8.0750 to 8.0650, where it has to fall", "raise the learning rate")},
    ),
    "a part that is never trained": (
        batch(unmoved=["embedding.weight", "rnn.bias"]),
        {"updates": ("2 of 13 weight tensors never changed: embedding.weight, rnn.bias", "all of")},
    ),
    "training in eval mode": (
        batch(backward_in_eval_mode=30),
        {"mode": ("train_batch made 30 of 30 losses", "model.train() before")},
    ),
    "the loss of the inputs, of a model that has learned them": (
        batch(last_nll=of(12.0, UNIFORM - 2.1, 12.0)),
        {"loss": ("NLL of the inputs is 4.97 and that of the targets 12.00", "hand the loss the")},
    ),
    "the loss of the inputs, of a model that knows of no order yet": (
        batch(unread_loss=UNIFORM - 1.8),
        {"loss": ("NLL of the inputs is 5.07 and that of the targets 10.07", "hand the loss the")},
    ),
    "the loss of the words after the targets": (
        batch(last_nll=of(12.0, 12.0, UNIFORM - 2.1)),
        {"loss": ("it is the loss of the words after the targets", "shift neither")},
    ),
}


@pytest.mark.parametrize(("seen", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_step_fails_the_checks_that_name_it_and_no_others(seen, expected):
    found = judged(batch=seen)
    assert failed(found) == set(expected)
    for name, (message, hint) in expected.items():
        assert message in found[name][1]
        assert hint in found[name][2]


EPOCHS = {
    "gradients that are never cleared": (
        {"gradients": {f"w{i}": [29, 29] for i in range(13)}},
        {"gradients": {f"w{i}": [29, 29] for i in range(13)}},
        ("updates", "at 29 of 29 steps 13 of 13 weight tensors still held", "zero_grad() once a"),
    ),
    "the same, where the epoch could not be seen": (
        {"gradients": {"w0": [29, 29], "w1": [29, 0]}},
        {"gradients": None, "backward": None, "calls": 30},
        ("updates", "1 of 13 weight tensors still held the gradient", "sum of all batches"),
    ),
    "train() that switches to eval mode": (
        {},
        {"backward_in_eval_mode": 30},
        ("mode", "train() made 30 of 30 losses with the model in eval mode", "start of train()"),
    ),
    "train() that leaves its loop": (
        {},
        {"backward": 1, "calls": 1},
        ("epoch", "made 1 training step, where the loader gives 30 batches", "return or break"),
    ),
    "train() that never enters its loop": (
        {},
        {"backward": 0, "calls": 0},
        ("epoch", "made no training step, where the loader gives 30", "for each batch"),
    ),
}


@pytest.mark.parametrize(("step", "whole", "expected"), EPOCHS.values(), ids=EPOCHS)
def test_a_mistake_that_an_epoch_shows_fails_its_own_check_alone(step, whole, expected):
    found = judged(batch=batch(**step), epoch=epoch(**whole))
    name, message, hint = expected
    assert failed(found) == {name}
    assert message in found[name][1]
    assert hint in found[name][2]


def test_a_validation_that_leaves_the_model_in_eval_mode_is_named():
    found = judged(test=validated(UNIFORM, backward_in_eval_mode=30))
    assert failed(found) == {"mode"}
    assert "train() after test() made 30 of 30 losses" in found["mode"][1]
    assert "test() leaves it there" in found["mode"][2]


@pytest.mark.parametrize(
    "values", [{"backward": 4, "calls": 30}, {"batches": 2, "backward": 1, "calls": 1}]
)
def test_gradients_added_up_over_batches_and_short_corpora_are_no_early_end(values):
    assert failed(judged(epoch=epoch(**values))) == set()


TESTS = {
    "None": ({"nll": None}, "test() returned None", "as a number"),
    "nothing": ({}, "test() returned None", "as a number"),
    "NaN": ({"nll": math.nan}, "returned nan", "finite"),
    "infinite": ({"nll": math.inf}, "returned inf", "finite"),
    "text": ({"nll": "8.1"}, "returned 8.1", "finite"),
    "a sum": ({"nll": UNIFORM * 3000}, "gives 7.07: that looks like a sum", "neither a sum"),
    "a mean of means": ({"nll": UNIFORM / 70}, "a mean that is divided again", "mean of means"),
}


@pytest.mark.parametrize(("values", "message", "hint"), TESTS.values(), ids=TESTS)
def test_a_validation_that_is_no_mean_nll_is_named(values, message, hint):
    found = judged(test=Observation("trainer.test", "ok", values=values))
    assert failed(found) == {"test"}
    assert message in found["test"][1]
    assert hint in found["test"][2]


def test_a_trainer_without_validation_loses_nothing():
    found = judged(test=Observation("trainer.test", "ok", values={"skipped": True}))
    assert found["test"][0] is None
    assert "nothing lost" in found["test"][1]


def save(files, **arrays) -> Observation:
    return Observation("trainer.save", "ok", arrays, {"files": files})


X = np.ones((5, 12), dtype=np.float32)


@pytest.mark.parametrize(
    ("seen", "message", "hint"),
    [
        (save([]), "wrote no .safetensors or .pt", "checkpoint.save"),
        (save(None), "wrote no .safetensors or .pt", "checkpoint.save"),
        (
            save(["a.safetensors"], saved=X, loaded=X + 1),
            "other scores than the saved one, by up to 1",
            "nn.ModuleList",
        ),
        (save(["a.safetensors"], saved=X, loaded=X[:4]), "other scores", "nn.ModuleList"),
        (save(["a.safetensors"], saved=X, loaded=X * np.nan), "other scores", "nn.ModuleList"),
    ],
)
def test_weights_that_do_not_come_back_are_named(seen, message, hint):
    found = judged(save=seen)
    assert failed(found) == {"save"}
    assert message in found["save"][1]
    assert hint in found["save"][2]


LOADING = "Error(s) in loading state_dict for LanguageModel:\n\t"


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ('Missing key(s): "rnn"\n\tUnexpected key(s): "module.rnn"', '"rnn"; Unexp', "inner one"),
        ("size mismatch for rnn: [20] and [30]", "size mismatch for rnn", "save the settings"),
        ('Missing key(s): "late"' + " " * 200, 'weights: Missing key(s): "late"', "in __init__"),
    ],
)
def test_weights_that_do_not_fit_a_new_model_are_told_briefly(said, message, hint):
    error = {"type": "RuntimeError", "message": LOADING + said, "where": ""}
    found = judged(save=Observation("trainer.save", "error", error=error))
    assert failed(found) == {"save"}
    assert message in found["save"][1]
    assert len(found["save"][1]) < 380
    assert hint in found["save"][2]


def test_a_pt_file_is_not_read_back_and_loses_nothing():
    found = judged(save=save(["model.pt"]))
    assert found["save"][0] is None
    assert "wrote model.pt" in found["save"][1]


def test_a_diverged_model_that_was_saved_as_it_is_was_saved_right():
    assert (
        failed(judged(save=save(["a.safetensors"], saved=X * np.nan, loaded=X * np.nan))) == set()
    )


HOSTILE = [None, True, -1, 0, 0.0, math.nan, math.inf, 1e308, "x", [], [1, "a"], {"a": 1}]


@pytest.mark.parametrize("value", HOSTILE, ids=map(repr, HOSTILE))
def test_no_reported_value_makes_a_check_raise(value):
    for name in (*TRAINED, "no_loss"):
        assert set(judged(batch=batch(**{name: value}))) == set(judged())
    for inner in ("last_nll", "first_nll", "unread_nll", "gradients"):
        deep = dict.fromkeys(("targets", "inputs", "after", "w0"), value)
        assert set(judged(batch=batch(**{inner: deep}))) == set(judged())
        assert set(judged(batch=batch(gradients={"w0": [value, value]}))) == set(judged())
    for name in (*WATCHED, "batches"):
        assert set(judged(epoch=epoch(**{name: value}))) == set(judged())
    judged(test=Observation("trainer.test", "ok", values={"nll": value, "skipped": False}))
    judged(save=save(value))


@pytest.mark.parametrize("losses", [[], 0.0, [[8.1, 7.0]], [0, 0], [3e38, -3e38], [-1.0, 5.0]])
def test_no_reported_losses_make_a_check_raise(losses):
    assert set(judged(batch=batch(losses))) == set(judged())
