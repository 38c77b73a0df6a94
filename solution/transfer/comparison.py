"""What each step of transfer buys: one network a row, all measured on the same test passages.

The rows go from knowing nothing to all three stages. Each is a function that trains a network and
answers for the test passages, which nothing was trained on or chosen by.

What to bear in mind: the language model was pre-trained on the training articles themselves, the
held-out ones too. Its states of them are better than those of new text, and tuning it on the
task's text shows it hardly anything that is new; on a task with text of its own both differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkpoint
import numpy as np
from language_model import LanguageModel
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from autograder.corpus import Corpus

from .classifier import Classifier, Head, LanguageModelEncoder, read
from .fitting import Fitted, fit, predictions
from .stages import Plan, fit_classifier, fit_language_model, label_nlls
from .task import Task
from .vectors import skip_gram

DRAWS = 2000  # of a bootstrap, whose standard error is then right to about 2%


class WeightsError(Exception):
    """The weights of a trained language model are missing, or those of something else."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What every step is given."""

    corpus: Corpus
    task: Task
    weights: Path  # of a trained language model
    plan: Plan
    seed: int
    say: Callable[[str], None]

    def language_model(self, trained: bool = True) -> LanguageModel:
        """Build the checkpoint's network with the plan's dropouts, with its weights or without.

        Raises:
            WeightsError: there is no such file, or it does not fit the corpus.
        """
        used: dict[str, Any] = {}

        def build(vocab_size: int, **settings: Any) -> LanguageModel:
            used.update(settings, **self.plan.dropouts())
            return LanguageModel(vocab_size, **used)

        try:
            model = checkpoint.load(self.weights, build, len(self.corpus.vocab))
        except FileNotFoundError as error:
            raise WeightsError(
                f"there are no weights {self.weights}: train a language model first "
                "(make reference) or name others with --checkpoint"
            ) from error
        except (SafetensorError, RuntimeError, TypeError) as error:
            raise WeightsError(
                f"{self.weights} does not fit: expected the weights of a LanguageModel of "
                f"{len(self.corpus.vocab):,} words ({error})"
            ) from error
        return model if trained else LanguageModel(len(self.corpus.vocab), **used)

    def classifier(self, model: LanguageModel) -> Classifier:
        """Put a new head on a language model."""
        size = model.embedding.embedding_dim
        return Classifier(LanguageModelEncoder(model), size, len(self.task.names))


@dataclass(frozen=True, eq=False)
class Answer:
    """A network's labels for the test passages, int64 [passages], and how it was fitted."""

    labels: NDArray[np.int64]
    fitted: Fitted | None = None


def majority(setting: Setting) -> Answer:
    """Answer training's commonest label."""
    return Answer(np.full(len(setting.task.test), setting.task.floor))


def from_nothing(setting: Setting) -> Answer:
    """Train the classifier's network from random weights, all of it at one rate."""
    classifier = setting.classifier(setting.language_model(trained=False))
    plan, task = setting.plan, setting.task
    used = [*classifier.encoder.model.embedding.parameters()]
    used += [*classifier.encoder.model.layers.parameters(), *classifier.head.parameters()]
    course = plan.course([used], plan.scratch_lr, plan.scratch_epochs)
    fitted = fit(
        classifier, label_nlls, task.train, task.held_out, course, setting.seed, setting.say
    )
    return Answer(predictions(classifier, task.test), fitted)


def word_vectors(setting: Setting) -> Answer:
    """Train a head on skip-gram vectors, as wide as the language model's, of the same text."""
    size = setting.language_model().embedding.embedding_dim
    articles = setting.corpus.train.articles()
    vocab_size, plan = len(setting.corpus.vocab), setting.plan
    return _head_on(
        skip_gram(articles, vocab_size, size, plan.vector_epochs, setting.seed), setting
    )


def frozen(setting: Setting) -> Answer:
    """Train a head on the language model's states as they are."""
    return _head_on(LanguageModelEncoder(setting.language_model()), setting)


def two_stages(setting: Setting) -> Answer:
    """Fine-tune the classifier over the language model as it is."""
    classifier = setting.classifier(setting.language_model())
    fitted = fit_classifier(classifier, setting.task, setting.plan, setting.seed, setting.say)
    return Answer(predictions(classifier, setting.task.test), fitted)


def three_stages(setting: Setting) -> Answer:
    """Fine-tune the language model on the training passages, then the classifier over it."""
    model = setting.language_model()
    fit_language_model(model, setting.task, setting.plan, setting.seed, setting.say)
    classifier = setting.classifier(model)
    fitted = fit_classifier(classifier, setting.task, setting.plan, setting.seed, setting.say)
    return Answer(predictions(classifier, setting.task.test), fitted)


STEPS: dict[str, Callable[[Setting], Answer]] = {
    "majority class": majority,
    "same network from nothing": from_nothing,
    "skip-gram vectors + head": word_vectors,
    "frozen language model + head": frozen,
    "language model, fine-tuned": two_stages,
    "ULMFiT, all three stages": three_stages,
}


def standard_error(
    values: NDArray[np.float64], articles: NDArray[np.int64], draws: int = DRAWS
) -> float:
    """Return the standard error of the mean over passages, by a bootstrap over whole articles.

    Passages of one article are right or wrong together, so that passages drawn one by one would
    promise too much (Efron and Tibshirani 1993, section 8.6: the unit is what is independent).

    Args:
        values: float [passages], such as 1 for right and 0 for wrong.
        articles: int64 [passages], the article of each.
        draws: bootstrap samples, drawn with a fixed seed.
    """
    _, unit = np.unique(articles, return_inverse=True)
    sums, counts = np.bincount(unit, weights=values), np.bincount(unit)
    units = len(counts)
    times = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=draws)
    return float(np.std(times @ sums / (times @ counts), ddof=1))


def _head_on(encoder: nn.Module, setting: Setting) -> Answer:
    plan, task = setting.plan, setting.task
    train, held_out, test = (read(encoder, part) for part in (task.train, task.held_out, task.test))
    head = Head(train.features.size(1), len(task.names))
    course = plan.course([list(head.parameters())], plan.head_lr, plan.head_epochs)
    fitted = fit(head, label_nlls, train, held_out, course, setting.seed, setting.say)
    return Answer(predictions(head, test), fitted)
