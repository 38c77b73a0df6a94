"""Regularisers of the AWD-LSTM as pure functions of tensors.

Covered: locked dropout, embedding dropout, activation and temporal activation regularisation, and
the draw of a window's length. Not covered: weight dropout and weight tying (the model's) and weight
decay (the optimizer's).
"""

from torch import Tensor


def locked_dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Drop features with one mask a row, the same at every time step (Gal and Ghahramani 2016).

    Args:
        x: float [batch, time, features].
        p: probability that a feature is dropped, 0 <= p < 1.
        training: False returns `x` as it is.

    Returns:
        float [batch, time, features]: kept values divided by 1 - p, so that the mean stays.
    """
    raise NotImplementedError("locked_dropout: see ASSIGNMENT.md, part 5")


def embedding_dropout(weight: Tensor, ids: Tensor, p: float, training: bool = True) -> Tensor:
    """Look words up in an embedding that has lost whole words (Merity et al. 2017, section 4.3).

    A dropped word is zero wherever it stands in the window.

    Args:
        weight: float [vocabulary, features].
        ids: int64 [batch, time].
        p: probability that a word is dropped, 0 <= p < 1.
        training: False is a plain look-up.

    Returns:
        float [batch, time, features]: rows of kept words divided by 1 - p.
    """
    raise NotImplementedError("embedding_dropout: see ASSIGNMENT.md, part 5")


def activation_regularization(output: Tensor, alpha: float) -> Tensor:
    """Penalise large activations: alpha * mean(output ** 2) (Merity et al. 2017, section 4.6).

    Args:
        output: float [batch, time, features], the last layer's output after dropout.
        alpha: weight of the penalty.

    Returns:
        float scalar tensor, to be added to the loss.
    """
    raise NotImplementedError("activation_regularization: see ASSIGNMENT.md, part 5")


def temporal_activation_regularization(output: Tensor, beta: float) -> Tensor:
    """Penalise fast change: beta * mean((h[t + 1] - h[t]) ** 2) (Merity et al. 2017, section 4.6).

    Args:
        output: float [batch, time, features], the last layer's output before dropout.
        beta: weight of the penalty.

    Returns:
        float scalar tensor, to be added to the loss; 0 for a window of a single step.
    """
    raise NotImplementedError("temporal_activation_regularization: see ASSIGNMENT.md, part 5")


def window_length(bptt: int, minimum: int = 5) -> int:
    """Draw the length of the next window (Merity et al. 2017, section 4.1).

    The base is `bptt` with probability 0.95 and `bptt / 2` otherwise; the length is drawn from a
    normal distribution of that mean and standard deviation 5. Uses torch's global generator.

    Args:
        bptt: base length in time steps, at least 1.
        minimum: no window is shorter than this (nor than 1).

    Returns:
        Length in time steps.
    """
    raise NotImplementedError("window_length: see ASSIGNMENT.md, part 5")
