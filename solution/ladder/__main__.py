"""The command `python -m ladder`: climb the ladder on the corpus `numbers` and print a table.

PYTHONPATH=solution:handout:. python -m ladder --rungs 1,2,3 --seeds 3

Each rung and seed is a line of `runs/ladder/results.jsonl`, which holds the last climb only.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from autograder import corpus as corpora
from autograder.files import atomic_write

from .climb import Outcome, Settings, baseline, climb
from .models import RUNGS

RESULTS = Path("runs/ladder/results.jsonl")
WIDTH = 140  # of a table that goes to a file or a pipe


def rungs(text: str) -> list[int]:
    """Read a list of rungs, as in "1,2,3"; each is climbed once, from the lowest up.

    Raises:
        argparse.ArgumentTypeError: it names something that is no rung.
    """
    for part in text.split(","):
        if part.strip() not in map(str, RUNGS):
            raise argparse.ArgumentTypeError(
                f"there is no rung {part.strip()!r}; the rungs are {min(RUNGS)} to {max(RUNGS)}, "
                "to be given as in 1,2,3"
            )
    return sorted({int(part) for part in text.split(",")})


def count(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not {text!r}")
    return int(text)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exits with status 2 where it cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m ladder",
        description="From a fixed window to a weight-tied LSTM, one idea a rung: trains each on\n"
        f"the corpus `numbers`, prints a table, and writes {RESULTS}.",
        epilog="\n".join(f"rung {n}  {rung.name:12} {rung.idea}" for n, rung in RUNGS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rungs", type=rungs, default=list(RUNGS), help="which, as in 1,2,3 (default: all)"
    )
    parser.add_argument(
        "--epochs",
        type=count,
        default=Settings.epochs,
        help="readings of the training text (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=count, default=1, help="how often each is trained (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=count,
        default=1,
        help="CPU threads (default: %(default)s; the matrices are too small for more to help)",
    )
    return parser.parse_args(argv)


def write(outcomes: list[Outcome], settings: Settings) -> None:
    """Write `RESULTS`, a line an outcome, with the settings it was had with."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(RESULTS, "w") as file:
        for outcome in outcomes:
            row = {**dataclasses.asdict(outcome), "settings": dataclasses.asdict(settings)}
            file.write(json.dumps(row) + "\n")


def draw(outcomes: list[Outcome], title: str, caption: str) -> Table:
    """Return the table: a row a rung, mean and standard deviation over its seeds."""
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading, justify in (
        ("rung", "left"),
        ("idea", "left"),
        ("source", "left"),
        ("parameters", "right"),
        ("accuracy", "right"),
        ("NLL", "right"),
        ("seconds", "right"),
    ):
        table.add_column(heading, justify=justify)
    for number in sorted({outcome.rung for outcome in outcomes}):
        rung = RUNGS[number]
        of_rung = [outcome for outcome in outcomes if outcome.rung == number]
        table.add_row(
            f"{number} {rung.name}",
            rung.idea,
            rung.source,
            f"{of_rung[0].parameters:,}",
            spread([outcome.accuracy for outcome in of_rung], "{:.1%}"),
            spread([outcome.nll for outcome in of_rung], "{:.3f}"),
            f"{statistics.mean(outcome.seconds for outcome in of_rung):.1f}",
        )
    return table


def spread(values: list[float], form: str) -> str:
    """Return the mean, and the standard deviation where there are several values, as text."""
    mean = form.format(statistics.mean(values))
    if len(values) == 1:
        return mean
    return f"{mean.rstrip('%')} ± {form.format(statistics.stdev(values))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Climb; return an exit status."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    settings, corpus = Settings(epochs=options.epochs), corpora.numbers()
    outcomes: list[Outcome] = []
    started, stopped = time.monotonic(), False
    try:
        with Console(stderr=True, highlight=False).status("") as status:
            for number in options.rungs:
                for seed in range(options.seeds):
                    status.update(f"rung {number} {RUNGS[number].name}, seed {seed}")
                    outcomes.append(climb(number, corpus, settings, seed))
                    write(outcomes, settings)
    except KeyboardInterrupt:
        stopped = True
        print("stopped: the table has what was finished", file=sys.stderr)
    accuracy, nll = baseline(*(torch.from_numpy(s.stream()) for s in (corpus.train, corpus.valid)))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    title = f"corpus numbers · epochs {settings.epochs} · seeds {options.seeds}"
    caption = (
        f"Accuracy and NLL (nats a word) of validation, ± the standard deviation over seeds.\n"
        f"Word frequencies alone: {accuracy:.1%} and {nll:.3f}.\n"
        f"Seconds of training, a seed; {time.monotonic() - started:.0f} s for everything. "
        f"Each run: {RESULTS}"
    )
    console.print(draw(outcomes, title, caption))
    return 130 if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
