"""The stages after pre-training: the language model on the task's own text, then the classifier.

Howard and Ruder 2018, sections 3.2 and 3.3: layers learn at rates of their own, along slanted
triangles, and join in from the top, one an epoch. Not covered: bidirectional models, and
back-propagation through documents in chunks, which passages of a hundred words do not need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .classifier import Classifier
from .fitting import Course, Examples, Fitted, fit
from .task import Passages, Task

# Howard and Ruder 2018, section 4.1, for layers of 1,150 features; a plan scales them all.
DROPOUTS = {
    "embedding_dropout": 0.05,
    "input_dropout": 0.4,
    "hidden_dropout": 0.3,
    "output_dropout": 0.4,
    "weight_dropout": 0.5,
}


@dataclass(frozen=True)
class Plan:
    """Everything that the comparison is made of. The command turns each field into a flag.

    Raises:
        ValueError: a number below the least that makes sense.
    """

    # the task
    longest: int = 60  # words of a passage
    passages: int = 4000  # to learn from, at most
    # the language model on the task's text
    language_epochs: int = 1
    language_lr: float = 2e-3
    # the classifier over a language model
    epochs: int = 5
    lr: float = 1e-2
    factor: float = 2.6  # between the rates of neighbouring groups of layers
    dropout: float = 0.5  # share of the paper's dropouts
    # what it is compared with
    scratch_epochs: int = 5
    scratch_lr: float = 2e-3
    head_epochs: int = 15
    head_lr: float = 3e-3
    vector_epochs: int = 5
    # all of them
    batch_size: int = 32
    clip: float = 1.0
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        least = {"longest": 2, "batch_size": 2}  # a word to foretell; a batch to normalise
        for name, value in vars(self).items():
            bound = least.get(name, 1 if isinstance(value, int) else 0)
            if not value >= bound:
                raise ValueError(f"{name} is at least {bound}, not {value}")

    def course(
        self, groups: list[list[nn.Parameter]], lr: float, epochs: int, **more: Any
    ) -> Course:
        """Return a course of training with what all of them share."""
        return Course(
            groups,
            lr,
            epochs,
            self.batch_size,
            clip=self.clip,
            weight_decay=self.weight_decay,
            **more,
        )

    def dropouts(self) -> dict[str, float]:
        """Return the dropouts as settings of a `LanguageModel`."""
        return {name: p * self.dropout for name, p in DROPOUTS.items()}


def language_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """Split a language model's parameters: a group a layer, lowest first, and the output.

    The embedding is tied to the output layer, whose errors reach it directly: it learns on top.
    """
    layers = [list(layer.parameters()) for layer in model.layers]
    below = set(chain.from_iterable(layers))
    return [*layers, [p for p in model.parameters() if p not in below]]


def classifier_groups(classifier: Classifier) -> list[list[nn.Parameter]]:
    """Split the parameters of a classifier over a `LanguageModelEncoder`, lowest first.

    Embedding, layers, head. What else the language model has, its output layer, is not used.
    """
    model = classifier.encoder.model
    layers = [list(layer.parameters()) for layer in model.layers]
    return [list(model.embedding.parameters()), *layers, list(classifier.head.parameters())]


def word_nlls(model: nn.Module, passages: Passages, where: NDArray[np.int64]) -> Tensor:
    """Return -log p of every word but the first of some passages, float [words].

    Each passage is read from a state of zeros, as the classifier will read it.
    """
    inputs, lengths = passages.batch(where)
    real = torch.arange(inputs.size(1) - 1) < lengths[:, None] - 1
    features = model.features(inputs[:, :-1], None)[1]
    # Real words as one long row, so that none is scored in vain.
    return model.nll(features[real].unsqueeze(0), inputs[:, 1:][real].unsqueeze(0)).flatten()


def label_nlls(module: nn.Module, examples: Examples, where: NDArray[np.int64]) -> Tensor:
    """Return -log p(label) of some examples, float [examples]; `module` gives logits."""
    labels = torch.from_numpy(examples.labels[where])
    return F.cross_entropy(module(*examples.batch(where)), labels, reduction="none")


def fit_language_model(
    model: nn.Module, task: Task, plan: Plan, seed: int, say: Callable[[str], None]
) -> Fitted:
    """Tune a trained language model on the task's training passages."""
    groups = language_groups(model)
    course = plan.course(groups, plan.language_lr, plan.language_epochs, factor=plan.factor)
    return fit(model, word_nlls, task.train, task.held_out, course, seed, say)


def fit_classifier(
    classifier: Classifier, task: Task, plan: Plan, seed: int, say: Callable[[str], None]
) -> Fitted:
    """Tune a classifier over a trained language model, unfreezing it gradually."""
    groups = classifier_groups(classifier)
    course = plan.course(groups, plan.lr, plan.epochs, factor=plan.factor, gradual=True)
    return fit(classifier, label_nlls, task.train, task.held_out, course, seed, say)
