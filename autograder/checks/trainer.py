"""Checks of `LanguageModelTrainer`: a few steps on one batch, an epoch, validation, saving."""

import math

import numpy as np

from ..run import Observation, Step
from . import made_up
from .data_loader import importable
from .verdict import NotRun, Problem, Verdict, examine, group

BUILD = "language_model.build"
STEPS = [
    Step("trainer.import", "import", ("trainer",)),
    Step("trainer.batch", "train", needs=("trainer.import", BUILD)),
    Step("trainer.epoch", "epoch", needs=("trainer.batch",)),
    Step("trainer.test", "test", needs=("trainer.batch",)),
    Step("trainer.save", "save", needs=("trainer.batch",)),
]


def loss(seen: Observation) -> str:
    """train_batch returns the mean NLL a word."""
    losses = _losses(seen)
    first, uniform = float(losses[0]), math.log(made_up.vocabulary())
    wanted = seen.values.get("first_nll")
    if not isinstance(wanted, float) or not 0 < wanted < math.inf:
        wanted = uniform
    if 0.6 * wanted <= first <= 1.4 * wanted + 2:
        return f"{first:.2f} nats a word at first, {losses[-1]:.2f} after {len(losses)} steps"
    seen_and_wanted = (
        f"the first loss is {first:.4g}, where the untrained model's mean NLL on that batch is "
        f"{wanted:.2f} nats a word"
    )
    tokens = seen.values.get("tokens")
    if isinstance(tokens, int) and tokens > 1 and first > 4 * wanted:
        raise Problem(
            f"{seen_and_wanted}: {first / wanted:.0f} times as much, with {tokens} words in it",
            "a sum is returned where the mean is wanted: CrossEntropyLoss() takes the mean over "
            "words when its input is flattened to [words, vocabulary]",
        )
    if first < 0.5 * wanted:
        raise Problem(
            f"{seen_and_wanted}: {wanted / max(first, 1e-9):.0f} times less",
            "the mean seems to be taken twice: CrossEntropyLoss() divides by the number of words "
            "already",
        )
    raise Problem(seen_and_wanted, "return the mean of -log p(target) over all words of the batch")


def learns(seen: Observation) -> str:
    """The loss on one batch falls when it is trained on again and again."""
    losses = _losses(seen)
    first, last = float(losses[0]), float(losses[-1])
    if last <= first - 0.02:
        return f"from {first:.2f} to {last:.2f} in {len(losses)} steps on one batch"
    message = f"after {len(losses)} steps on one batch the loss went from {first:.4f} to {last:.4f}"
    unmoved, count = seen.values.get("unmoved"), seen.values.get("parameter_count")
    if isinstance(unmoved, list) and len(unmoved) == count:
        raise Problem(
            f"{message}, and no weight has changed",
            "each step needs optimizer.zero_grad(), loss.backward(), optimizer.step(), in this "
            "order, and an optimizer made with model.parameters()",
        )
    uniform = math.log(made_up.vocabulary())
    if uniform - 1 <= last <= uniform + 0.05:
        raise Problem(
            f"{message}; uniform guessing gives {uniform:.2f}",
            "CrossEntropyLoss takes raw scores: a softmax before it keeps the loss within 1 of "
            "uniform guessing. If there is none, raise the learning rate",
        )
    raise Problem(
        message,
        "lower the learning rate if it grows, raise it if it stays; zero the gradients each step",
    )


def updates(seen: Observation) -> str:
    """Every weight is trained."""
    _losses(seen)
    unmoved, count = seen.values.get("unmoved"), seen.values.get("parameter_count")
    if not isinstance(unmoved, list) or not isinstance(count, int):
        raise NotRun("the weights could not be followed")
    if len(unmoved) == count:
        raise Problem(
            f"none of the {count} weight tensors has changed",
            "is optimizer.step() called, after loss.backward(), and was the optimizer made with "
            "model.parameters()?",
        )
    if unmoved:
        names = ", ".join(str(name) for name in unmoved[:4])
        raise Problem(
            f"{len(unmoved)} of {count} weight tensors never changed: {names}",
            "hand all of model.parameters() to the optimizer; a tensor that forward never uses, or "
            "that is detached on the way, gets no gradient",
        )
    return f"all {count} weight tensors change"


def mode(seen: Observation) -> str:
    """Training runs with dropout on."""
    _losses(seen)
    if seen.values.get("trained_in_eval_mode") is True:
        raise Problem(
            "train_batch switches the model to eval mode, so dropout is off",
            "call model.train() before a training step, model.eval() before validation only",
        )
    return "the model is in train mode"


def _losses(seen: Observation) -> np.ndarray:
    if seen.values.get("no_loss"):
        raise Problem("train_batch returned None", "return the mean loss of the batch as a number")
    losses = seen.arrays.get("losses")
    if losses is None or losses.size == 0:
        raise NotRun("no losses came back")
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise Problem(
            f"the loss is {losses[bad[0]]} at step {bad[0] + 1} of {len(losses)}",
            "lower the learning rate, clip the gradients "
            "(torch.nn.utils.clip_grad_norm_), and look for a log of zero",
        )
    return losses.ravel()


def runs(seen: Observation) -> str:
    """train() goes through an epoch."""
    return "an epoch over the made-up corpus"


def validates(seen: Observation) -> str:
    """test() returns the validation NLL."""
    if seen.values.get("skipped"):
        raise NotRun("the trainer takes no valid_loader: nothing to check, and nothing lost")
    nll = seen.values.get("nll")
    uniform = math.log(made_up.vocabulary())
    if nll is None:
        raise Problem("test() returned None", "return the mean NLL a word as a number")
    if not isinstance(nll, float) or not math.isfinite(nll):
        raise Problem(f"test() returned {nll}", "return the mean NLL a word, a finite number")
    if not 0.5 * uniform <= nll <= 40 * uniform:
        raise Problem(
            f"test() returned {nll:.4g} for an untrained model; uniform guessing gives "
            f"{uniform:.2f}",
            "return the mean of -log p(target) over all words: neither a sum nor a mean of means",
        )
    return f"{nll:.2f} nats a word, untrained"


def saves(seen: Observation) -> str:
    """save() writes weights that load back."""
    files = seen.values.get("files")
    if not isinstance(files, list) or not files:
        raise Problem(
            "save() wrote no .safetensors or .pt file",
            "call checkpoint.save(path, self.model, settings) and return the path",
        )
    saved, loaded = seen.arrays.get("saved"), seen.arrays.get("loaded")
    if saved is None or loaded is None:
        raise NotRun(f"wrote {files[0]}; only a .safetensors file is read back here")
    if saved.shape != loaded.shape or not np.allclose(
        saved, loaded, rtol=1e-3, atol=1e-3, equal_nan=True
    ):
        raise Problem(
            "a new model with the saved weights gives other scores than the saved one",
            "a tensor is missing from the file: register buffers, keep layers in nn.ModuleList, "
            "and save after the step, not before",
        )
    return "a new model with the saved weights gives the same scores"


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge what the trainer did."""
    batch = [
        ("loss", "train_batch returns the mean loss", loss),
        ("learns", "the loss falls", learns),
        ("updates", "every weight is trained", updates),
        ("mode", "training is in train mode", mode),
    ]
    return [
        importable("trainer", "LanguageModelTrainer", seen, missing),
        *group("trainer", seen["trainer.batch"], batch),
        examine("trainer.epoch", "train() runs an epoch", seen["trainer.epoch"], runs),
        examine("trainer.test", "test() returns the mean NLL", seen["trainer.test"], validates),
        examine("trainer.save", "save() writes weights that load", seen["trainer.save"], saves),
    ]
