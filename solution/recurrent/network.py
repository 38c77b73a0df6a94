"""The AWD-LSTM's network: embedding, regularised layers of any cell, tied output layer.

`LanguageModel` is this network under the assignment's name; training and decoding use the finer
methods here, which compute scores only where they are needed.
"""

import softmax as output_layers
import torch
from regularization import embedding_dropout, locked_dropout
from torch import Tensor, nn

from .gru import WeightDropoutGRU
from .lstm import WeightDropoutLSTM
from .qrnn import QRNN
from .transformer import TransformerLayer

# One tuple a layer, of tensors [steps, batch, features]; a recurrent layer's have one step.
Hidden = list[tuple[Tensor, ...]]


class Network(nn.Module):
    """Embedding, a stack of recurrent layers, and an output layer tied to the embedding.

    The last layer is as wide as the embedding (Merity et al. 2017, sections 4.4 and 4.5), but
    before a mixture of softmaxes, which projects. For the arguments see `LanguageModel`.

    Raises:
        ValueError: an unknown cell or softmax, or settings that do not go together.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        cell: str,
        heads: int,
        softmax: str,
        cutoffs: tuple[int, ...],
        components: int,
        tied: bool,
        embedding_dropout: float,
        input_dropout: float,
        hidden_dropout: float,
        output_dropout: float,
        weight_dropout: float,
    ) -> None:
        super().__init__()
        self.embedding_dropout = embedding_dropout
        self.input_dropout = input_dropout
        self.hidden_dropout = hidden_dropout
        self.output_dropout = output_dropout
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        last_size = (
            hidden_size if softmax == "mixture" and cell != "transformer" else embedding_size
        )
        sizes = [embedding_size, *[hidden_size] * (num_layers - 1), last_size]
        layers = []
        for i in range(num_layers):
            if cell == "lstm":
                layer = WeightDropoutLSTM(sizes[i], sizes[i + 1], weight_dropout)
            elif cell == "gru":
                layer = WeightDropoutGRU(sizes[i], sizes[i + 1], weight_dropout)
            elif cell == "qrnn":
                layer = QRNN(sizes[i], sizes[i + 1], 2 if i == 0 else 1, weight_dropout)
            elif cell == "transformer":
                if weight_dropout:
                    raise ValueError(
                        f"weight_dropout is {weight_dropout}, but a Transformer has no "
                        "hidden-to-hidden weights: set it to 0"
                    )
                layer = TransformerLayer(embedding_size, hidden_size, heads)
            else:
                raise ValueError(f"cell is lstm, gru, qrnn or transformer, not {cell!r}")
            layers.append(layer)
        self.layers = nn.ModuleList(layers)
        weight = self.embedding.weight
        if not tied:
            weight = nn.Parameter(weight.detach().clone())
        self.decoder = output_layers.make(softmax, weight, last_size, tuple(cutoffs), components)
        # The embedding's rows stand in order of frequency; rank[id] is a word's row.
        self.register_buffer("rank", torch.arange(vocab_size))

    def set_counts(self, counts: Tensor) -> None:
        """Tell an untrained model how often each word occurs.

        It orders the embedding's rows by frequency, so that an adaptive softmax can save work, and
        starts the output biases at the words' log-frequencies, which saves learning them.

        Args:
            counts: int64 [vocabulary], occurrences of each word in the training split.
        """
        order = counts.argsort(descending=True, stable=True)
        self.rank[order] = torch.arange(len(order), device=self.rank.device)
        self.decoder.set_unigram((counts[order] + 1.0).div(counts.sum() + len(order)))

    def features(
        self, inputs: Tensor, hidden: Hidden | None = None
    ) -> tuple[Tensor, Tensor, Hidden]:
        """Run all layers but the output layer.

        Args:
            inputs: int64 [batch, time].
            hidden: what an earlier call returned, to read on from there; None starts from zeros.

        Returns:
            raw: float [batch, time, features], the last layer's output.
            dropped: the same after output dropout.
            hidden: one state a layer.
        """
        x = embedding_dropout(
            self.embedding.weight, self.rank[inputs], self.embedding_dropout, self.training
        )
        x = locked_dropout(x, self.input_dropout, self.training)
        states: Hidden = []
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = locked_dropout(x, self.hidden_dropout, self.training)
            x, state = layer(x, None if hidden is None else hidden[i])
            states.append(state)
        return x, locked_dropout(x, self.output_dropout, self.training), states

    def nll(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return -log p(target) a word.

        Args:
            features: float [batch, time, features].
            targets: int64 [batch, time].

        Returns:
            float [batch, time], in nats.
        """
        return self.decoder.nll(features.flatten(0, 1), self.rank[targets].flatten()).view(
            targets.shape
        )

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of `nll`, a float scalar, in the way that costs training least memory."""
        return self.decoder.loss(features.flatten(0, 1), self.rank[targets].flatten())

    def log_probs(self, features: Tensor) -> Tensor:
        """Return log p of every word, float [..., vocabulary], of features [..., features]."""
        by_rank = self.decoder.log_probs(features.flatten(0, -2))
        return by_rank[:, self.rank].view(*features.shape[:-1], -1)
