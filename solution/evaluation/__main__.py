"""The command: perplexity of a checkpoint, static, with a neural cache, with dynamic evaluation.

    make evaluate ARGS="--system cache --tune --split test"

Settings are tuned on the validation split only. By default it counts as the papers do, with an
`<eol>` for every blank line, which is the only counting that compares with published perplexities;
a model that was trained without blank lines (the default of `make train`) wants --counting course.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import checkpoint
import torch
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from recurrent import Network
from rich.console import Console
from safetensors import SafetensorError
from torch import Tensor

from autograder import corpus as corpora
from autograder.characters import characters
from autograder.corpus import Corpus, CorpusError

from . import (
    CacheSettings,
    DynamicSettings,
    cached,
    dynamic,
    gradient_rms,
    mean_nll,
    static,
    tune_cache,
    tune_dynamic,
)

RESULTS = Path("runs/evaluation/results.jsonl")
BATCH = 100  # rows of the training batches whose gradients are collected, as in the authors' code


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--system", default="static", choices=["static", "cache", "dynamic"])
    parser.add_argument("--weights", type=Path, help="default: the solution's, of the corpus")
    parser.add_argument("--corpus", default="wikitext2", choices=["wikitext2", "numbers"])
    parser.add_argument("--level", default="word", choices=["word", "character"])
    parser.add_argument("--split", default="valid", choices=["valid", "test"])
    parser.add_argument("--counting", default="papers", choices=["papers", "course"])
    parser.add_argument("--words", type=int, help="score the first so many words only")
    parser.add_argument("--tune", action="store_true", help="choose settings on validation first")
    parser.add_argument(
        "--tune-words", type=int, metavar="N", help="tune on the first N words of validation"
    )
    parser.add_argument(
        "--rms-batches", type=int, default=500, help="training batches to collect gradients of"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    for name, kind in (("cache", CacheSettings), ("dynamic evaluation", DynamicSettings)):
        group = parser.add_argument_group(name)
        for field in fields(kind):
            flag = f"--{field.name}"
            group.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args(argv)


def settings_of(kind: type, options: argparse.Namespace) -> Any:
    """Make the settings of a system from the flags that are named after its fields."""
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})


class Evaluation:
    """A checkpoint, a corpus and a way of counting."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options, self.console = options, console
        corpus = corpora.load(options.corpus)
        self.corpus: Corpus = characters(corpus) if options.level == "character" else corpus
        suffix = "" if self.corpus.name == "wikitext2" else f".{self.corpus.name}"
        folder = Path(__file__).resolve().parents[1]
        self.weights = options.weights or folder / f"checkpoint{suffix}.safetensors"
        model = checkpoint.load(self.weights, LanguageModel, len(self.corpus.vocab))
        self.model: Network = model.to(options.device)
        self.settings: CacheSettings | DynamicSettings | None = None
        self.rms: dict[str, Tensor] | None = None

    def text(self, split: str) -> Tensor:
        """Return a split in one row, int64 [words], on the device."""
        blank_lines = self.options.counting == "papers"
        stream = self.corpus.split(split).stream(blank_lines)
        return torch.from_numpy(stream).to(self.options.device)

    def prepare(self) -> None:
        """Collect gradients and tune, as far as the system asks for it."""
        options = self.options
        if options.system == "cache":
            self.settings = settings_of(CacheSettings, options)
        if options.system == "dynamic":
            self.settings = settings_of(DynamicSettings, options)
            if self.settings.rule == "rms":
                self.console.print(f"collecting gradients of {options.rms_batches} batches")
                self.rms = gradient_rms(self.model, self.batches())
        if not options.tune or self.settings is None:
            return
        text = self.text("valid")[: options.tune_words]
        self.console.print(f"tuning on {len(text):,} words of the validation split")
        if isinstance(self.settings, CacheSettings):
            self.settings, nll = tune_cache(self.model, text)
        else:
            self.settings, nll = tune_dynamic(self.model, text, self.settings, self.rms)
        self.console.print(f"best there: {self.settings}, NLL {nll:.4f}")

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the first training batches, windows as long as the segments to come."""
        blank_lines = self.options.counting == "papers"
        articles = self.corpus.train.articles(blank_lines)
        # A corpus too small for so many rows has as many as give each a few words.
        rows = min(BATCH, max(1, sum(map(len, articles)) // 50))
        loader = LanguageModelDataLoader(articles, rows, False, self.options.segment)
        for _, batch in zip(range(self.options.rms_batches), loader, strict=False):
            yield tuple(part.to(self.options.device) for part in batch)

    def run(self) -> dict[str, Any]:
        """Score the split; return the result as it is logged."""
        options = self.options
        ids = self.text(options.split)[: options.words]
        systems = {
            "static": lambda: static(self.model, ids),
            "cache": lambda: cached(self.model, ids, self.settings),
            "dynamic": lambda: dynamic(self.model, ids, self.settings, self.rms),
        }
        started = time.monotonic()
        nll = mean_nll(self.shown(systems[options.system](), len(ids) - 1))
        return {
            "weights": str(self.weights),
            "corpus": self.corpus.name,
            "split": options.split,
            "counting": options.counting,
            "words": len(ids) - 1,
            "system": options.system,
            "settings": asdict(self.settings) if self.settings else {},
            "nll": nll,
            "seconds": time.monotonic() - started,
        }

    def shown(self, parts: Iterable[Tensor], words: int) -> Iterator[Tensor]:
        """Pass NLLs on and show how far they are: often on a terminal, seldom in a log."""
        done, total, last = 0, 0.0, time.monotonic()
        for part in parts:
            yield part
            done += len(part)
            total += part.sum().item()
            if time.monotonic() - last > (0.5 if self.console.is_terminal else 60):
                last = time.monotonic()
                line = f"{done / words:4.0%}  {done:,} words  NLL {total / done:.4f}"
                self.console.print(line, end="\r" if self.console.is_terminal else "\n")


def main(argv: list[str] | None = None) -> int:
    """Evaluate; return an exit status."""
    options = parse(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console(highlight=False, soft_wrap=True)
    try:
        evaluation = Evaluation(options, console)
        evaluation.prepare()
        result = evaluation.run()
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 3
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS, "a") as file:
        file.write(json.dumps(result) + "\n")
    say(result, options.level, console)
    return 0


def say(result: dict[str, Any], level: str, console: Console) -> None:
    """Print a result."""
    nll = result["nll"]
    console.print(
        f"{result['system']}, {result['split']} split of {result['corpus']}, counted as the "
        f"{result['counting']} did, {result['words']:,} predictions: NLL {nll:.4f}, "
        f"perplexity {math.exp(nll):.2f}, {result['seconds']:.0f} s"
    )
    if level == "character":
        console.print(f"{nll / math.log(2):.3f} bits a character")
    if result["settings"]:
        console.print("  ".join(f"{name} {value}" for name, value in result["settings"].items()))


if __name__ == "__main__":
    sys.exit(main())
