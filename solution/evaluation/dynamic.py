"""Dynamic evaluation: the model goes on learning from the text that it is scored on.

Krause et al. 2018, section 4. Each segment is scored first and learned from afterwards, so that no
word is seen before its NLL is taken. A step follows the gradient, scaled down where the training
text's gradients were large (RMS), and pulls the weights back towards the trained ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import torch
from recurrent import Hidden, Network
from torch import Tensor, nn

from .perplexity import mean_nll, windows


@dataclass(frozen=True)
class DynamicSettings:
    """The update rule: its rate, its pull towards the trained weights, and how often it steps.

    The defaults are those of the authors' code for the AWD-LSTM on WikiText-2; `rule` is "rms" or
    "sgd", and "sgd" wants a rate of its own.

    Raises:
        ValueError: another rule.
    """

    rule: str = "rms"
    lr: float = 0.002
    decay: float = 0.02
    segment: int = 5
    epsilon: float = 0.001

    def __post_init__(self) -> None:
        if self.rule not in ("rms", "sgd"):
            raise ValueError(f"the rule of dynamic evaluation is rms or sgd, not {self.rule!r}")


def gradient_rms(model: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Collect the root mean square of each parameter's gradient over training batches.

    Args:
        model: the model, in evaluation mode.
        batches: inputs and targets, int64 [batch, time] each, in the order of the text.

    Returns:
        A tensor for each parameter's name, in the parameter's shape.

    Raises:
        ValueError: there are no batches.
    """
    parameters = dict(model.named_parameters())
    squares = {name: torch.zeros_like(p) for name, p in parameters.items()}
    count, hidden = 0, None
    for inputs, targets in batches:
        hidden = _step_back(model, inputs, targets, hidden)[1]
        for name, p in parameters.items():
            squares[name].addcmul_(p.grad, p.grad)
        count += 1
    if not count:
        raise ValueError("dynamic evaluation by RMS needs training batches to take gradients of")
    model.zero_grad()
    return {name: (square / count).sqrt_() for name, square in squares.items()}


def dynamic(
    model: Network,
    ids: Tensor,
    settings: DynamicSettings,
    rms: dict[str, Tensor] | None = None,
) -> Iterator[Tensor]:
    """Yield the NLL of each word under the weights learned from all segments before its own.

    The model has its trained weights again when the iterator is done or closed.

    Args:
        model: the model, in evaluation mode.
        ids: int64 [words], on the model's device.
        settings: of the update rule.
        rms: what `gradient_rms` returned; the rule "rms" needs it.

    Raises:
        ValueError: the rule is "rms" and `rms` is missing.
    """
    if settings.rule == "rms" and rms is None:
        raise ValueError('the rule "rms" needs the gradients that `gradient_rms` collects')
    parameters = list(model.parameters())
    scale, pull = _rule(model, settings, rms)
    with _restored(parameters) as trained:
        hidden: Hidden | None = None
        for inputs, targets in windows(ids, settings.segment):
            nll, hidden = _step_back(model, inputs, targets, hidden)
            yield nll
            with torch.no_grad():
                for p, start, factor, back in zip(parameters, trained, scale, pull, strict=True):
                    p.addcmul_(start - p, back).addcmul_(p.grad, factor, value=-1)


def tune_dynamic(
    model: Network,
    ids: Tensor,
    base: DynamicSettings,
    rms: dict[str, Tensor] | None = None,
    factors: Sequence[float] = (0.5, 1.0, 2.0),
) -> tuple[DynamicSettings, float]:
    """Try rates and pulls around `base` on a validation text; return the best and its mean NLL.

    Args:
        model: the model, in evaluation mode.
        ids: int64 [words], on the model's device.
        base: what is multiplied.
        rms: see `dynamic`.
        factors: of rate and pull, each with each.
    """
    tried = [
        replace(base, lr=base.lr * a, decay=base.decay * b) for a, b in product(factors, factors)
    ]
    found = [(mean_nll(dynamic(model, ids, settings, rms)), settings) for settings in tried]
    nll, best = min(found, key=lambda pair: pair[0])
    return best, nll


def _rule(
    model: Network, settings: DynamicSettings, rms: dict[str, Tensor] | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return for each parameter the factor of its gradient and the pull of its trained weights."""
    named = dict(model.named_parameters())
    if settings.rule == "sgd":
        one = next(iter(named.values())).new_ones(())
        return [settings.lr * one] * len(named), [settings.decay * one] * len(named)
    # Equation 8: the mean is over all of the model's parameters.
    total = sum(rms[name].double().sum().item() for name in named)
    mean = total / sum(p.numel() for p in named.values())
    scale = [settings.lr / (rms[name] + settings.epsilon) for name in named]
    # A pull of more than 1 would overshoot.
    pull = [(settings.decay * rms[name] / mean).clamp_(max=1) for name in named]
    return scale, pull


def _step_back(
    model: Network, inputs: Tensor, targets: Tensor, hidden: Hidden | None
) -> tuple[Tensor, Hidden]:
    """Leave the gradient of the mean NLL in the parameters; return NLLs [time] and the state."""
    model.zero_grad(set_to_none=False)
    # cuDNN refuses a backward pass in evaluation mode; PyTorch's own kernels do not.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=model.training):
        _, features, hidden = model.features(inputs, hidden)
        nll = model.nll(features, targets)
        nll.mean().backward()
    for p in model.parameters():
        if p.grad is None:  # a cluster of rare words that no segment has had yet
            p.grad = torch.zeros_like(p)
    return nll.detach()[0].double(), [tuple(s.detach() for s in state) for state in hidden]


@contextmanager
def _restored(parameters: list[nn.Parameter]) -> Iterator[list[Tensor]]:
    trained = [p.detach().clone() for p in parameters]
    try:
        yield trained
    finally:
        with torch.no_grad():
            for p, start in zip(parameters, trained, strict=True):
                p.copy_(start)
                p.grad = None
