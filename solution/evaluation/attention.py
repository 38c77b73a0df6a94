"""Draws what each head of a Transformer looks at.

make attention ARGS="--weights runs/train/attention/checkpoint.safetensors --corpus numbers"
"""

import argparse
import sys
from pathlib import Path

import checkpoint
import torch
from language_model import LanguageModel
from recurrent import Network, TransformerLayer
from safetensors import SafetensorError
from torch import Tensor, nn

from autograder import corpus as corpora
from autograder.corpus import CorpusError


@torch.no_grad()
def weights(model: Network, ids: Tensor) -> Tensor:
    """Return how much each word looks at each, float [layers, heads, words, words].

    Args:
        model: a model of Transformer layers, in evaluation mode.
        ids: int64 [words].

    Raises:
        ValueError: the model has other layers.
    """
    if not all(isinstance(layer, TransformerLayer) for layer in model.layers):
        raise ValueError(
            "only a Transformer has attention to draw: train one with --cell transformer"
        )
    seen: list[Tensor] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(layer.attention(*inputs)[0])

    hooks = [layer.register_forward_pre_hook(look) for layer in model.layers]
    try:
        model.features(ids.unsqueeze(0))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(seen)


def draw(looks: Tensor, words: list[str], path: Path) -> None:
    """Save a picture with a square for each head, a row of it for each word that looks.

    Args:
        looks: float [layers, heads, words, words].
        words: their names.
        path: a PNG file; its folder is made.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, heads = looks.shape[:2]
    side = 0.9 + 0.17 * len(words)
    figure = Figure(figsize=(heads * side, layers * side), layout="constrained")
    FigureCanvasAgg(figure)
    for layer in range(layers):
        for head in range(heads):
            axes = figure.add_subplot(layers, heads, layer * heads + head + 1)
            axes.imshow(looks[layer, head].numpy(), cmap="magma", vmin=0, vmax=1)
            axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
            ticks = range(len(words))
            axes.set_xticks(ticks, words, rotation=90, fontsize=6)
            axes.set_yticks(ticks, words if head == 0 else [], fontsize=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Draw; return an exit status."""
    parser = argparse.ArgumentParser(prog="attention", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="of a Transformer")
    parser.add_argument("--corpus", default="wikitext2", choices=["wikitext2", "numbers"])
    parser.add_argument("--text", help="words to read (default: the validation split's first)")
    parser.add_argument("--words", type=int, default=24, help="how many of those")
    parser.add_argument("--out", type=Path, default=Path("runs/attention.png"))
    options = parser.parse_args(argv)
    try:
        corpus = corpora.load(options.corpus)
        ids = (
            corpus.encode(options.text) if options.text else corpus.valid.stream()[: options.words]
        )
        model = checkpoint.load(options.weights, LanguageModel, len(corpus.vocab))
        looks = weights(model, torch.from_numpy(ids))
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 3
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    draw(looks, [corpus.vocab[i] for i in ids], options.out)
    print(f"drew {options.out}: a row is the word that looks, a column the word looked at")
    return 0


if __name__ == "__main__":
    sys.exit(main())
