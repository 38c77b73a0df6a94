"""The language model: an AWD-LSTM or one of its relatives."""

from typing import Any

from recurrent import Network
from torch import Tensor


class LanguageModel(Network):
    """Scores the next word at every time step of a window.

    Settings that you do not use may be left out of the signature: only those that are there are
    passed. They are saved with the weights, and build the model again when it is graded.

    Args:
        vocab_size: words in the vocabulary.
        embedding_size: features of a word, and of the last layer where weights are tied.
        hidden_size: features of the other recurrent layers.
        num_layers: recurrent layers.
        cell: "lstm", or another layer that you offer: "gru", "qrnn", "transformer" (whose
            feed-forward nets are then of `hidden_size` features).
        heads: attention heads of a Transformer.
        softmax: the output layer: "full", or another that you offer, such as "adaptive".
        cutoffs: where the clusters of an adaptive softmax begin; empty for a full softmax.
        components: softmaxes of a mixture.
        tied: whether the output layer shares the embedding's weights.
        embedding_dropout: probability that a word disappears from the window.
        input_dropout: locked dropout on the embedded words.
        hidden_dropout: locked dropout between layers.
        output_dropout: locked dropout on the last layer's output.
        weight_dropout: DropConnect on the hidden-to-hidden weights.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 256,
        hidden_size: int = 256,
        num_layers: int = 2,
        cell: str = "lstm",
        heads: int = 4,
        softmax: str = "adaptive",
        cutoffs: tuple[int, ...] = (500, 4000, 12000),
        components: int = 10,
        tied: bool = True,
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.1,
        hidden_dropout: float = 0.1,
        output_dropout: float = 0.1,
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            vocab_size,
            embedding_size,
            hidden_size,
            num_layers,
            cell,
            heads,
            softmax,
            cutoffs,
            components,
            tied,
            embedding_dropout,
            input_dropout,
            hidden_dropout,
            output_dropout,
            weight_dropout,
        )

    def forward(self, inputs: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        """Score the next word at every time step.

        Args:
            inputs: int64 [batch, time].
            hidden: what an earlier call returned, to read on from there; None starts from zeros.

        Returns:
            scores, float [batch, time, vocabulary], whose softmax is the probabilities, and the
            hidden state after the last step.
        """
        _, features, hidden = self.features(inputs, hidden)
        return self.log_probs(features), hidden
