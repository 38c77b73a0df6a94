"""Checks of `LanguageModel` as it is built and called, untrained, on the made-up vocabulary."""

import numpy as np

from ..run import Observation, Step
from . import made_up
from .data_loader import importable
from .verdict import NotRun, Problem, Verdict, examine

STEPS = [
    Step("language_model.import", "import", ("language_model",)),
    Step("language_model.build", "model", seconds=30, needs=("language_model.import",)),
    Step("language_model.forward", "forward", seconds=30, needs=("language_model.build",)),
]

# Some round tables up to 64 or 128 words, for speed on GPUs; prediction cuts off what is no word.
ROUNDED = 128


def builds(seen: Observation) -> str:
    """LanguageModel(vocab_size) gives a module with weights."""
    if not seen.values.get("is_module"):
        raise Problem(
            "LanguageModel(vocab_size) is not a torch.nn.Module",
            "derive the class from nn.Module and call super().__init__() first",
        )
    count = seen.values.get("parameters")
    if not isinstance(count, int) or not count:
        raise Problem(
            "the model has no parameters",
            "assign layers to self; lists of layers have to be nn.ModuleList to be seen",
        )
    return f"{count:,} parameters for {made_up.vocabulary()} words"


def scores(seen: Observation) -> str:
    """forward(inputs) gives a finite score of every word at every step, in some order of axes."""
    out = seen.arrays.get("scores")
    if out is None:
        raise NotRun("forward gave nothing that is an array")
    batch, time, vocabulary = *made_up.prompts().shape, made_up.vocabulary()
    size = next((n for n in out.shape if 0 <= n - vocabulary < ROUNDED), None)
    if size is None:
        raise Problem(
            f"forward gave shape {out.shape}, no axis of which is the vocabulary of {vocabulary}",
            "the last layer maps to vocab_size scores; take the size from the argument, because "
            "here it is not 33,278",
        )
    if not np.isfinite(out).all():
        raise Problem(
            "an untrained model's scores are not finite",
            "look at how weights are initialised, and for a division by zero or a log of zero",
        )
    if out.size not in (batch * time * size, batch * size):
        raise Problem(
            f"forward gave shape {out.shape} for inputs {(batch, time)}",
            "give one score a word at every time step: [batch, time, vocabulary]",
        )
    return f"scores of shape {out.shape} for inputs {(batch, time)}"


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge what the model did."""
    return [
        importable("language_model", "LanguageModel", seen, missing),
        examine(
            "language_model.builds",
            "LanguageModel(vocab_size) builds",
            seen["language_model.build"],
            builds,
        ),
        examine(
            "language_model.scores",
            "forward scores every word",
            seen["language_model.forward"],
            scores,
        ),
    ]
