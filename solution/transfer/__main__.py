"""Shows what each step of transfer buys, from a majority class to all of ULMFiT, in one table.

    python -m transfer --seeds 3

A language model that was trained on WikiText-2 becomes a classifier of paragraphs: which kind of
section does each come from? It needs the folders `solution`, `handout` and the project's own on
PYTHONPATH, and the weights of a trained language model.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from time import monotonic

import torch
from rich.console import Console

from autograder import corpus as corpora

from . import results
from .comparison import STEPS, Setting, WeightsError
from .stages import Plan
from .task import TaskError, make
from .vectors import MissingGensimError

SOLUTION = Path(__file__).resolve().parents[1]
QUICK = Plan(
    longest=30,
    passages=200,
    epochs=2,
    scratch_epochs=1,
    head_epochs=5,
    vector_epochs=1,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and the corpus, compare, print; return an exit status."""
    options, plan = parse(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console(highlight=False, soft_wrap=True)
    try:
        corpus = corpora.load("wikitext2")
        run(corpus, options.checkpoint, plan, options.seeds, options.out, console)
    except (WeightsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (corpora.CorpusError, TaskError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; the steps that were done stand in {options.out}", file=sys.stderr)
        return 130
    return 0


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Plan]:
    """Return the general options, and the plan that presets and flags make."""
    parser = argparse.ArgumentParser(
        prog="python -m transfer", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=SOLUTION / "checkpoint.safetensors",
        help="weights of a trained language model (default: the solution's)",
    )
    parser.add_argument("--seeds", type=_positive, default=1, help="runs of every step (default 1)")
    parser.add_argument("--quick", action="store_true", help="a tiny try: minutes, and no result")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/transfer"), help="folder of results.jsonl"
    )
    group = parser.add_argument_group("settings, instead of the plan's (see stages.py)")
    for field in fields(Plan):
        flag = f"--{field.name.replace('_', '-')}"
        group.add_argument(
            flag,
            type=type(field.default),
            default=None,
            metavar="N",
            help=f"default {field.default}",
        )
    options = parser.parse_args(argv)
    given = {
        field.name: getattr(options, field.name)
        for field in fields(Plan)
        if getattr(options, field.name) is not None
    }
    try:
        return options, replace(QUICK if options.quick else Plan(), **given)
    except ValueError as error:
        parser.error(str(error))


def run(
    corpus: corpora.Corpus, weights: Path, plan: Plan, seeds: int, out: Path, console: Console
) -> list[results.Row]:
    """Carry out every step under every seed, keep the results, and print the table.

    Args:
        corpus: what the language model was trained on, with headings.
        weights: the language model's checkpoint.
        plan: settings.
        seeds: how many seeds, from 0 on.
        out: folder of `results.jsonl`, which is written anew after every step.
        console: where progress and table go.

    Returns:
        A row a step and seed.

    Raises:
        TaskError: the corpus has no sections to tell apart.
        WeightsError: the checkpoint is not there, or not of a language model of this corpus.
        OSError: the results cannot be written.
        FloatingPointError: a network diverged.
    """
    task = make(corpus, plan.longest, plan.passages)
    out.mkdir(parents=True, exist_ok=True)
    Setting(corpus, task, weights, plan, 0, print).language_model()  # before work that is lost
    console.print(
        f"{len(task.names)} kinds of sections; {results.amount(task.train)} to learn from, "
        f"{results.amount(task.held_out)} held out, {results.amount(task.test)} to be tested on"
    )
    rows: list[results.Row] = []
    for seed in range(seeds):
        for name in STEPS:
            rows.append(_carry_out(name, Setting(corpus, task, weights, plan, seed, _say(console))))
            results.write(out / "results.jsonl", rows, task, plan)
            console.print(results.line(rows[-1]), markup=False)
    console.print(results.table(rows, task))
    console.print(f"{out / 'results.jsonl'} has a line a step and seed", markup=False)
    return rows


def _carry_out(name: str, setting: Setting) -> results.Row:
    torch.manual_seed(setting.seed)
    started = monotonic()
    try:
        answer = STEPS[name](setting)
    except MissingGensimError as error:
        return results.Row(name, setting.seed, None, missing=str(error))
    seconds = monotonic() - started
    right = answer.labels == setting.task.test.labels
    if answer.fitted is None:
        return results.Row(name, setting.seed, right, seconds)
    nll = min(answer.fitted.held_out)
    return results.Row(name, setting.seed, right, seconds, answer.fitted.epoch, nll)


def _say(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"  {text}", markup=False)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
