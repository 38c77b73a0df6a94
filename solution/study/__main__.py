"""The command: trains every row of the study with several seeds and prints the table.

What was trained is kept in `runs/study/results.jsonl`, a line a run, so that an interrupted study
goes on where it stopped.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import checkpoint
import numpy as np
import torch
from config import Config
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from rich.console import Console
from rich.table import Table
from trainer import LanguageModelTrainer

from autograder import corpus as corpora
from autograder.corpus import Corpus, CorpusError

from . import ROWS, SMALL, Row, small_text

RESULTS = Path("runs/study/results.jsonl")


class FixedWindows(LanguageModelDataLoader):
    """Windows of one length, in a new order of articles each epoch."""

    def _window(self) -> int:
        return self.bptt


def run(row: Row, config: Config, corpus: Corpus) -> dict[str, Any]:
    """Train one row with one seed; return its best validation NLL, epoch and seconds."""
    torch.manual_seed(config.seed)
    model = LanguageModel(len(corpus.vocab), **checkpoint.model_settings(LanguageModel, config))
    loader = FixedWindows if row.fixed_windows else LanguageModelDataLoader
    articles, valid = corpus.train.articles(), corpus.valid.articles()
    trainer = LanguageModelTrainer(
        model,
        loader(articles, config.batch_size, bptt=config.bptt),
        config.epochs,
        valid_loader=LanguageModelDataLoader(valid, config.batch_size, False, config.bptt),
        config=config,
    )
    started = time.monotonic()
    for _ in range(config.epochs):
        trainer.train()
        trainer.test()
    best = int(np.argmin(trainer.val_losses))
    return {
        "train": trainer.train_losses[best],
        "valid": trainer.val_losses[best],
        "epoch": best + 1,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": time.monotonic() - started,
    }


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, print the table; return an exit status."""
    parser = argparse.ArgumentParser(prog="study", description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default="wikitext2", choices=["wikitext2"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=SMALL.epochs)
    parser.add_argument("--articles", type=int, default=20, help="training articles")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    options = parser.parse_args(argv)
    rows = [row for row in ROWS if options.only in row.name]
    if not rows:
        parser.error(f"no row has {options.only!r} in its name: {', '.join(r.name for r in ROWS)}")
    if ROWS[0] not in rows:
        rows.insert(0, ROWS[0])  # what the others are compared with
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console(highlight=False, soft_wrap=True)
    try:
        corpus = small_text(corpora.load(options.corpus), train=options.articles)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 3
    console.print(
        f"{len(corpus.train):,} words of training text, {len(corpus.vocab):,} in the vocabulary, "
        f"{options.epochs} epochs, {options.seeds} seeds"
    )
    results = []
    for seed in range(options.seeds):  # a whole table of one seed comes first
        for row in rows:
            config = row.config(replace(SMALL, seed=seed, epochs=options.epochs))
            settings = json.dumps(asdict(config))
            key = {"row": row.name, "corpus": corpus.digest, "settings": settings}
            # Read anew each time: other processes may share the work.
            result = next((old for old in _read() if key.items() <= old.items()), None)
            if result is None:
                result = key | run(row, config, corpus)
                _append(result)
                console.print(
                    f"{row.name}, seed {seed}: valid NLL {result['valid']:.4f} "
                    f"(epoch {result['epoch']}), {result['seconds']:.0f} s"
                )
            results.append(result)
    console.print(table(rows, results))
    return 0


def table(rows: list[Row], results: list[dict[str, Any]]) -> Table:
    """Lay out mean and standard deviation over seeds, and the difference to the first row."""
    made = Table(title="validation NLL, mean ± standard deviation over seeds; lower is better")
    for column in ("", "valid NLL", "more than with everything", "train NLL", "parameters"):
        made.add_column(column, justify="left" if not column else "right")
    base = _of(rows[0].name, results)
    for row in rows:
        found = _of(row.name, results)
        # Seeds are paired: what a technique buys is the mean of the differences.
        apart = [a["valid"] - b["valid"] for a in found for b in base if _seed(a) == _seed(b)]
        made.add_row(
            row.name,
            _spread([r["valid"] for r in found]),
            _spread(apart, "+") if row is not rows[0] else "",
            f"{statistics.mean(r['train'] for r in found):.3f}",
            f"{found[0]['parameters'] / 1e6:.2f}M",
        )
    return made


def _spread(values: list[float], sign: str = "") -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):{sign}.3f} ± {deviation:.3f}"


def _of(name: str, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in results if r["row"] == name]


def _seed(result: dict[str, Any]) -> int:
    return json.loads(result["settings"])["seed"]


def _read() -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in RESULTS.read_text().splitlines()]
    except FileNotFoundError:
        return []


def _append(result: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS, "a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    sys.exit(main())
