"""Training and measuring one rung; every rung is treated alike.

Same words, epochs, batches, optimizer and learning rate for all, so that the table shows what each
idea buys, and not what tuning could. Validation asks each model for the same words.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.corpus import Corpus

from .models import RUNGS, Model, Rung

CONTEXT = 3  # words that the models of fixed windows see, and the first that no one is asked for


@dataclass(frozen=True)
class Settings:
    """What is the same for every rung.

    Raises:
        ValueError: one of them is not above 0.
    """

    epochs: int = 15
    batch_size: int = 64
    size: int = 64  # features of a word's vector and of every hidden layer
    lr: float = 0.005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} is above 0, not {value}")


@dataclass(frozen=True)
class Outcome:
    """One rung climbed with one seed: accuracy and NLL of validation, seconds of training."""

    rung: int
    name: str
    seed: int
    parameters: int
    accuracy: float
    nll: float
    seconds: float


def windows(stream: Tensor, batch_size: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Lay the stream out as rows that each read on, and cut the rows into windows.

    Ten words in two rows and windows of two; the ninth is a target only, the tenth left over,
    for every window is full:

        inputs    a b | c d        targets   b c | d e
                  e f | g h                  f g | h i

    Args:
        stream: int64 [words].
        batch_size: rows of a batch.
        length: words of a window.

    Yields:
        inputs and targets, int64 [batch_size, length] each, targets one word ahead.

    Raises:
        ValueError: the stream is too short for one window a row.
    """
    steps = (len(stream) - 1) // batch_size // length * length
    if not steps:
        raise ValueError(
            f"{len(stream)} words give no window of {length} to each of {batch_size} rows: "
            "use a smaller batch_size or more text"
        )
    used = batch_size * steps
    inputs = stream[:used].view(batch_size, steps)
    targets = stream[1 : used + 1].view(batch_size, steps)
    yield from zip(inputs.split(length, dim=1), targets.split(length, dim=1), strict=True)


def train(model: Model, rung: Rung, stream: Tensor, settings: Settings) -> None:
    """Train a model, in place.

    Args:
        model: a model of the rung's class.
        rung: says how long windows are.
        stream: int64 [words].
        settings: epochs, batch size and learning rate.

    Raises:
        ValueError: the stream is too short; see `windows`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    model.train()
    for _ in range(settings.epochs):
        state = None
        for inputs, targets in windows(stream, settings.batch_size, rung.length):
            loss, state = model.loss(inputs, targets, state)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def measure(model: Model, rung: Rung, stream: Tensor) -> tuple[float, float]:
    """Ask a model for every word of a text but the first three.

    A model that carries its state reads the text once, a word at a time; another one is shown the
    three words before the one that is asked for.

    Args:
        model: a model of the rung's class.
        rung: says whether the model carries its state.
        stream: int64 [words], more than three.

    Returns:
        The share of words that the model thought likeliest, and the NLL a word in nats.
    """
    model.eval()
    if rung.carries:
        # A word at a time serves the third rung too, which answers once a window.
        answers, state = [], None
        for word in stream[:-1]:
            scores, state = model(word.view(1, 1), state)
            answers.append(scores[0])
        scores = torch.cat(answers[CONTEXT - 1 :])
    else:
        scores = model(stream[:-1].unfold(0, CONTEXT, 1))[0].squeeze(1)
    targets = stream[CONTEXT:]
    accuracy = (scores.argmax(dim=1) == targets).double().mean().item()
    return accuracy, F.cross_entropy(scores.double(), targets).item()


def baseline(train: Tensor, valid: Tensor) -> tuple[float, float]:
    """Measure, as `measure` does, the guess that knows how often each word occurs in training.

    Args:
        train: int64 [words], every word of `valid` among them.
        valid: int64 [words], more than three.

    Returns:
        accuracy and NLL a word in nats.
    """
    counts, asked = train.bincount(), valid[CONTEXT:]
    accuracy = (asked == counts.argmax()).double().mean().item()
    return accuracy, -(counts[asked].double() / counts.sum()).log().mean().item()


def climb(number: int, corpus: Corpus, settings: Settings, seed: int) -> Outcome:
    """Train the rung of that number on the training split, and measure it on validation.

    Args:
        number: a key of `RUNGS`.
        corpus: words as ids.
        settings: the same for every rung.
        seed: of torch's global generator, from which initial weights and dropout are drawn.

    Raises:
        KeyError: no rung has that number.
        ValueError: the training split is too short; see `windows`.
    """
    rung = RUNGS[number]
    torch.manual_seed(seed)
    model = rung.model(len(corpus.vocab), settings.size)
    started = time.monotonic()
    train(model, rung, torch.from_numpy(corpus.train.stream()), settings)
    seconds = time.monotonic() - started
    accuracy, nll = measure(model, rung, torch.from_numpy(corpus.valid.stream()))
    parameters = sum(weight.numel() for weight in model.parameters())
    return Outcome(number, rung.name, seed, parameters, accuracy, nll, seconds)
