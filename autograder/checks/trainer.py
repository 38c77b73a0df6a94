"""Checks of `LanguageModelTrainer`: a few steps on one batch, an epoch, validation, saving."""

import math
from dataclasses import replace
from textwrap import shorten
from typing import Any

import numpy as np

from ..run import Observation, Step
from . import made_up
from .data_loader import importable
from .verdict import NotRun, Problem, Verdict, examine, group, told

BUILD = "language_model.build"
STEPS = [
    Step("trainer.import", "import", ("trainer",)),
    Step("trainer.batch", "train", needs=("trainer.import", BUILD)),
    Step("trainer.epoch", "epoch", needs=("trainer.batch",)),
    Step("trainer.test", "test", needs=("trainer.batch",)),
    Step("trainer.save", "save", needs=("trainer.batch",)),
]
STEP = (
    "each step needs optimizer.zero_grad(), loss.backward(), optimizer.step(), in this order, and "
    "an optimizer made with model.parameters(); what clip_grad_norm_ takes is the largest norm to "
    "leave, not 0"
)
# Words that a loss may be of in place of the targets, and what to do about it.
OTHER_WORDS = {
    "inputs": (
        "the inputs",
        "hand the loss the targets that train_batch is given: a model that scores each word after "
        "it has read it learns nothing",
    ),
    "after": (
        "the words after the targets",
        "the loader has shifted the targets by one word already: compare the scores of each place "
        "with the target of that place, and shift neither",
    ),
}


def loss(seen: Observation) -> str:
    """train_batch returns the mean NLL a word, of the targets."""
    losses = _losses(seen)
    first, wanted = float(losses[0]), _nll(seen, "first_nll").get("targets", 0.0)
    if wanted <= 0:
        wanted = math.log(made_up.vocabulary())
    if 0.6 * wanted <= first <= 1.4 * wanted + 2:
        if _fell(losses):  # a loss that stays where it is may be near any words' by chance
            _of_the_targets(seen, "last_nll", float(losses[-1]))
            _of_the_targets(seen, "unread_nll", seen.values.get("unread_loss"))
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


def _of_the_targets(seen: Observation, name: str, loss: Any) -> None:
    """Compare a loss with the model's own NLL of the targets and of other words."""
    nll = _nll(seen, name)
    if not isinstance(loss, float):
        return
    for other, (words, hint) in OTHER_WORDS.items():
        # Dropout moves a loss by a fraction of a nat: only a clear gap is judged.
        gap = nll.get("targets", math.nan) - nll.get(other, math.nan)
        if gap > 1 and abs(loss - nll[other]) < 0.15 * gap:
            raise Problem(
                f"train_batch returned {loss:.2f}, where the model's NLL of {words} is "
                f"{nll[other]:.2f} and that of the targets {nll['targets']:.2f} nats a word: it is "
                f"the loss of {words}",
                hint,
            )


def _nll(seen: Observation, name: str) -> dict[str, float]:
    """The NLLs of a batch that were reported, by the words that they are of."""
    nll = seen.values.get(name)
    if not isinstance(nll, dict):
        return {}
    return {k: v for k, v in nll.items() if isinstance(v, float) and math.isfinite(v)}


def learns(seen: Observation) -> str:
    """The loss on one batch falls when it is trained on again and again."""
    losses = _losses(seen)
    first, last = float(losses[0]), float(losses[-1])
    if _fell(losses):
        return f"from {first:.2f} to {last:.2f} in {len(losses)} steps on one batch"
    message = f"after {len(losses)} steps on one batch the loss went from {first:.4f} to {last:.4f}"
    unmoved, count = seen.values.get("unmoved"), seen.values.get("parameter_count")
    if isinstance(unmoved, list) and len(unmoved) == count:
        raise Problem(f"{message}, and no weight has changed{_backward(seen)}", STEP)
    uniform = math.log(made_up.vocabulary())
    if uniform - 1 <= last <= uniform + 0.05:
        raise Problem(
            f"{message}, where it has to fall; uniform guessing gives {uniform:.2f}, and of "
            f"probabilities in place of scores the loss is between {uniform - 1:.2f} and that",
            "CrossEntropyLoss takes raw scores: a softmax before it keeps the loss within 1 of "
            "uniform guessing. If there is none, raise the learning rate",
        )
    raise Problem(
        f"{message}, where it has to fall",
        "lower the learning rate" if last > first else "raise the learning rate",
    )


def _fell(losses: np.ndarray) -> bool:
    return float(losses[-1]) <= float(losses[0]) - 0.02


def _backward(seen: Observation) -> str:
    """Say whether gradients came to the weights."""
    losses = _count(seen, "backward")
    if losses:
        return f", though gradients came to the weights {losses} times"
    return ", nor did any weight get a gradient"


def updates(seen: Observation, epoch: Observation) -> str:
    """Every weight is trained, by the gradient of each batch alone."""
    _losses(seen)
    unmoved, count = seen.values.get("unmoved"), seen.values.get("parameter_count")
    if not isinstance(unmoved, list) or not isinstance(count, int) or not count:
        raise NotRun("the weights could not be followed")
    if len(unmoved) == count:
        raise Problem(f"none of the {count} weight tensors has changed{_backward(seen)}", STEP)
    if unmoved:
        names = ", ".join(map(told, unmoved[:4]))
        raise Problem(
            f"{len(unmoved)} of {count} weight tensors never changed: {names}",
            "hand all of model.parameters() to the optimizer; a tensor that forward never uses, or "
            "that is detached on the way, gets no gradient",
        )
    kept, came = _kept_gradients(seen)
    # A trainer may clear them in train(), around train_batch: then nothing is wrong.
    if kept and (_kept_gradients(epoch)[0] or not _count(epoch, "backward")):
        names = ", ".join(map(told, kept[:4]))
        raise Problem(
            f"at {came} of {came} steps {len(kept)} of {count} weight tensors still held the "
            f"gradient of the step before, and the new one was added to it: {names}",
            "call optimizer.zero_grad() once a step, before loss.backward(): without it each step "
            "follows the sum of all batches so far",
        )
    return f"all {count} weight tensors change"


def _kept_gradients(seen: Observation) -> tuple[list[str], int]:
    """The weights whose gradients were never cleared between steps, and how many steps that is."""
    gradients, kept, most = seen.values.get("gradients"), [], 0
    for name, counts in gradients.items() if isinstance(gradients, dict) else ():
        if not isinstance(counts, list) or [type(n) for n in counts] != [int, int]:
            continue
        came, added = counts
        if came == added > 1:
            kept.append(name)
            most = max(most, came)
    return kept, most


def mode(batch: Observation, epoch: Observation, test: Observation) -> str:
    """Training runs with dropout on."""
    _losses(batch)
    places = (
        (batch, "train_batch", "call model.train() before a training step"),
        (epoch, "train()", "call model.train() at the start of train()"),
        (
            test,
            "train() after test()",
            "test() leaves it there: call model.train() at its end, or at the start of train()",
        ),
    )
    for seen, where, hint in places:
        losses, in_eval = _count(seen, "backward"), _count(seen, "backward_in_eval_mode")
        if losses < 2 * in_eval:
            raise Problem(
                f"{where} made {in_eval} of {losses} losses with the model in eval mode, so that "
                "dropout is off",
                f"{hint}; model.eval() is for validation and prediction only",
            )
    return "the model is in train mode"


def _count(seen: Observation, name: str) -> int:
    value = seen.values.get(name)
    return value if type(value) is int else 0


def _losses(seen: Observation) -> np.ndarray:
    if seen.values.get("no_loss"):
        raise Problem("train_batch returned None", "return the mean loss of the batch as a number")
    losses = seen.arrays.get("losses")
    if losses is None or losses.size == 0:
        raise NotRun("no losses came back")
    losses = losses.ravel()
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise Problem(
            f"the loss is {losses[bad[0]]} at step {bad[0] + 1} of {len(losses)}",
            "lower the learning rate, clip the gradients "
            "(torch.nn.utils.clip_grad_norm_), and look for a log of zero",
        )
    return losses


def runs(epoch: Observation, batch: Observation) -> str:
    """train() goes through an epoch."""
    batches, losses = _count(epoch, "batches"), _count(epoch, "backward")
    calls = _count(epoch, "calls")
    if not losses and not calls and batches and _count(batch, "backward"):
        raise Problem(
            f"train() made no training step, where the loader gives {batches} batches",
            "call train_batch for each batch: `for inputs, targets in self.loader`; an iterator or "
            "a generator gives its batches once only",
        )
    if losses == calls == 1 and batches > 2:
        raise Problem(
            f"train() made 1 training step, where the loader gives {batches} batches",
            "the loop over the loader ends after its first batch: is a return or break inside it?",
        )
    return f"an epoch over the made-up corpus, {losses or batches} steps"


def validates(seen: Observation) -> str:
    """test() returns the validation NLL."""
    if seen.values.get("skipped"):
        raise NotRun("the trainer takes no valid_loader: nothing to check, and nothing lost")
    nll = seen.values.get("nll")
    uniform = math.log(made_up.vocabulary())
    if nll is None:
        raise Problem("test() returned None", "return the mean NLL a word as a number")
    if not isinstance(nll, float) or not math.isfinite(nll):
        raise Problem(f"test() returned {told(nll)}", "return the mean NLL a word, a finite number")
    if not 0.5 * uniform <= nll <= 40 * uniform:
        what = "a sum over words" if nll > uniform else "a mean that is divided again"
        raise Problem(
            f"test() returned {nll:.4g} for an untrained model, where uniform guessing gives "
            f"{uniform:.2f}: that looks like {what}",
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
        raise NotRun(
            f"wrote {told(files[0])}, which is neither .safetensors nor a state dict: unread"
        )
    if saved.shape != loaded.shape or not np.allclose(
        saved, loaded, rtol=1e-3, atol=1e-3, equal_nan=True
    ):
        away = ""
        if saved.shape == loaded.shape:
            with np.errstate(all="ignore"):  # infinite scores differ by what is no number
                away = f", by up to {abs(saved.astype(np.float64) - loaded).max():.3g}"
        raise Problem(
            f"a new model with the saved weights gives other scores than the saved one{away}",
            "a tensor is missing from the file: register buffers, keep layers in nn.ModuleList, "
            "and save after the step, not before",
        )
    return "a new model with the saved weights gives the same scores"


def does_not_load(seen: Observation, verdict: Verdict) -> Verdict:
    """Put it shorter than PyTorch does where the saved weights do not fit a new model."""
    said = seen.error.get("message", "")
    if verdict.passed is not False or "loading state_dict" not in said:
        return verdict
    hint = "a new model has other layers than the saved one: make all of them in __init__"
    if "size mismatch" in said:
        hint = (
            "the new model is built with other sizes: save the settings with the weights, as "
            "checkpoint.save(path, self.model, settings) does"
        )
    elif '"module.' in said:
        hint = "the model was saved inside a wrapper: save the inner one, such as model.module"
    differs = "; ".join(shorten(line, 160) for line in said.splitlines()[1:3])
    return replace(verdict, message=f"a new model does not take the weights: {differs}", hint=hint)


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge what the trainer did."""
    trained, epoch, test, save = (seen[step.id] for step in STEPS[1:])
    batch = [
        ("loss", "train_batch returns the mean loss", loss),
        ("learns", "the loss falls", learns),
        ("updates", "every weight is trained", lambda batch: updates(batch, epoch)),
        ("mode", "training is in train mode", lambda batch: mode(batch, epoch, test)),
    ]
    return [
        importable("trainer", "LanguageModelTrainer", seen, missing),
        *group("trainer", trained, batch),
        examine("trainer.epoch", "train() runs an epoch", epoch, lambda e: runs(e, trained)),
        examine("trainer.test", "test() returns the mean NLL", test, validates),
        does_not_load(
            save, examine("trainer.save", "save() writes weights that load", save, saves)
        ),
    ]
