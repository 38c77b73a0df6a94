"""The rungs: nine language models, each the one before and one idea more.

Read from top to bottom. A model is its `features`, the vectors from which words are predicted;
where a class derives from an earlier rung, what it leaves out has not changed.

From the third rung on a model reads on: it returns a state, to be given back with the next window.
Every hidden layer has tanh (the book's first rungs have ReLU): it keeps a state that is carried
through thousands of words in bounds, and adds no second change when `nn.RNN` comes in.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from regularization import activation_regularization, temporal_activation_regularization
from torch import Tensor, nn

from .cells import Dropout, GatedCell, GRUCell, LSTMCell, unroll

State = Any  # a model's own: None, a tensor, or a list of a cell's states


class Model(nn.Module):
    """What all rungs share: words become vectors, vectors become scores of words, and the loss.

    Args:
        vocab_size: number of different words.
        size: features of a word's vector and of every hidden layer.
    """

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, size)
        self.output = nn.Linear(size, vocab_size)

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read a window.

        Args:
            inputs: int64 [batch, time].
            state: what an earlier call returned, to read on from there; None starts anew.

        Returns:
            float [batch, predictions, size], for the window's last word or for all of them, and
            the state after the window, which carries no gradient.
        """
        raise NotImplementedError

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Score every word as the next one, [batch, predictions, vocab_size]; see `features`."""
        features, state = self.features(inputs, state)
        return self.output(features), state

    def loss(self, inputs: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return what training makes small, a float scalar, and the state after the window.

        Args:
            inputs: int64 [batch, time].
            targets: int64 [batch, time], the word after each input.
            state: as for `features`.
        """
        scores, state = self(inputs, state)
        return mean_nll(scores, targets), state


def mean_nll(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of -log p(target), a float scalar in nats.

    Args:
        scores: float [batch, predictions, vocabulary].
        targets: int64 [batch, time]; with one prediction a window only the last one counts.
    """
    asked = targets[:, -scores.size(1) :]
    return F.cross_entropy(scores.flatten(0, 1), asked.flatten())


class FixedWindow(Model):
    """Three words predict the fourth: one hidden layer, used three times."""

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__(vocab_size, size)
        self.hidden = nn.Linear(size, size)

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read a window of three words, in [batch, 3], out [batch, 1, size] and no state."""
        x = self.embedding(inputs)  # [batch, 3, size]
        h = torch.tanh(self.hidden(x[:, 0]))
        h = torch.tanh(self.hidden(h + x[:, 1]))
        h = torch.tanh(self.hidden(h + x[:, 2]))
        return h.unsqueeze(1), None


class Loop(FixedWindow):
    """The same as a loop, which makes it a recurrent network and lets windows have any length."""

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read a window from a state of zeros, out [batch, 1, size] and no state."""
        x = self.embedding(inputs)  # [batch, time, size]
        h = torch.zeros_like(x[:, 0])
        for step in x.unbind(dim=1):
            h = torch.tanh(self.hidden(h + step))
        return h.unsqueeze(1), None


class Carried(Loop):
    """The loop goes on where the last window ended, but gradients stop there."""

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read on from a state [batch, size], out [batch, 1, size] and the state."""
        x = self.embedding(inputs)
        h = torch.zeros_like(x[:, 0]) if state is None else state
        for step in x.unbind(dim=1):
            h = torch.tanh(self.hidden(h + step))
        return h.unsqueeze(1), h.detach()


class EveryWord(Carried):
    """A prediction after every word, so that no word of the text goes unused as a target."""

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read on from a state [batch, size], out [batch, time, size] and the state."""
        x = self.embedding(inputs)
        h = torch.zeros_like(x[:, 0]) if state is None else state
        outputs = []
        for step in x.unbind(dim=1):
            h = torch.tanh(self.hidden(h + step))
            outputs.append(h)
        return torch.stack(outputs, dim=1), h.detach()


class Stacked(Model):
    """Two layers, the second reading what the first puts out; the loop is PyTorch's `nn.RNN`."""

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__(vocab_size, size)
        self.rnn = nn.RNN(size, size, num_layers=2, batch_first=True)

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read on from a state [2, batch, size], out [batch, time, size] and the state."""
        outputs, h = self.rnn(self.embedding(inputs), state)
        return outputs, h.detach()


class StackedLSTM(Model):
    """Two layers of LSTM cells: a second state that gates can leave as it is."""

    cell: type[GatedCell] = LSTMCell

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__(vocab_size, size)
        self.cells = nn.ModuleList([self.cell(size, size), self.cell(size, size)])

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read on from a list of the cells' states, out [batch, time, size] and such a list."""
        x = self.embedding(inputs)
        after = []
        for cell, before in zip(self.cells, state or [None, None], strict=True):
            x, last = unroll(cell, x, before)
            after.append(tuple(part.detach() for part in last))
        return x, after


class StackedGRU(StackedLSTM):
    """The same with GRU cells: one state and a gate less."""

    cell = GRUCell


class DropoutLSTM(StackedLSTM):
    """The LSTM with dropout between its last layer and the output layer.

    Args:
        vocab_size: number of different words.
        size: features of a word's vector and of every hidden layer.
        dropout: probability that a feature is dropped.
    """

    def __init__(self, vocab_size: int, size: int, dropout: float = 0.3) -> None:
        super().__init__(vocab_size, size)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Score every word as the next one, [batch, time, vocab_size]; see `features`."""
        features, state = self.features(inputs, state)
        return self.output(self.dropout(features)), state


class TiedLSTM(DropoutLSTM):
    """The weight-tied regularised LSTM: one matrix for words in and out, and AR and TAR.

    Tying is Merity et al. 2017, section 4.4; for AR (`alpha`) and TAR (`beta`), section 4.6, see
    `regularization`.

    Args:
        vocab_size: number of different words.
        size: features of a word's vector and of every hidden layer.
        dropout: probability that a feature is dropped.
        alpha: weight of the penalty on large features.
        beta: weight of the penalty on features that change fast.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        dropout: float = 0.3,
        alpha: float = 2.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__(vocab_size, size, dropout)
        self.alpha, self.beta = alpha, beta
        self.embedding.weight = self.output.weight

    def loss(self, inputs: Tensor, targets: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return NLL and penalties, a float scalar, and the state; see `Model.loss`."""
        raw, state = self.features(inputs, state)
        dropped = self.dropout(raw)
        nll = mean_nll(self.output(dropped), targets)
        ar = activation_regularization(dropped, self.alpha)
        tar = temporal_activation_regularization(raw, self.beta)
        return nll + ar + tar, state


@dataclass(frozen=True)
class Rung:
    """A line of the ladder.

    Attributes:
        model: the class; `model(vocab_size, size)` makes it.
        idea: what it adds to the rung before.
        source: where that is from.
        length: words of a training window.
        carries: whether it reads on from window to window.
    """

    model: type[Model]
    idea: str
    source: str
    length: int
    carries: bool = True

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.__name__


RUNGS = {
    1: Rung(FixedWindow, "three words predict the fourth", "Bengio et al. 2003", 3, False),
    2: Rung(Loop, "the same as a loop", "Elman 1990", 3, False),
    3: Rung(Carried, "state kept, gradients cut", "Williams & Peng 1990", 3),
    4: Rung(EveryWord, "16 words, a prediction at each", "Howard & Gugger 2020, ch. 12", 16),
    5: Rung(Stacked, "two layers", "Pascanu et al. 2014", 16),
    6: Rung(StackedLSTM, "LSTM cells", "Hochreiter & Schmidhuber 1997", 16),
    7: Rung(StackedGRU, "GRU cells instead", "Cho et al. 2014", 16),
    8: Rung(DropoutLSTM, "LSTM cells and dropout", "Srivastava et al. 2014", 16),
    9: Rung(TiedLSTM, "and AR, TAR, tied weights", "Merity et al. 2017", 16),
}
