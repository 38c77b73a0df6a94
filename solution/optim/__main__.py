"""The commands: find a learning rate for a run, and draw the schedules.

make find-lr ARGS="--cell qrnn"    any setting of `make train`
make schedules                     draws runs/schedules.png
"""

import argparse
import sys
from pathlib import Path

import torch
import train

from autograder import corpus as corpora
from autograder.corpus import CorpusError

from . import SCHEDULES, discriminative_rates, lr_finder, unfrozen

SOLUTION = Path(__file__).resolve().parents[1]


def find_lr(arguments: list[str]) -> int:
    """Run the range test with the settings of a training run; return an exit status."""
    parser = argparse.ArgumentParser(prog="find-lr", add_help=False)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lowest", type=float, default=1e-5)
    parser.add_argument("--highest", type=float, default=10.0)
    chosen, rest = parser.parse_known_args(arguments)
    if "--help" in rest or "-h" in rest:
        print(parser.format_help() + "\nand the settings of `make train`:\n")
    options, given, presets = train.parse(["--submission", str(SOLUTION), *rest])
    corpus, substitute = corpora.resolve(options.corpus)
    if substitute:
        print(substitute)
    config = train.choose(presets, options.preset, corpus.name, given)
    if options.threads:
        torch.set_num_threads(options.threads)
    run = train.Run(options, corpus, config, train.pick_device(options.device), rank=0)
    run.display.console.quiet = True  # this is no epoch
    wanted = lr_finder.rates(chosen.steps, chosen.lowest, chosen.highest)
    tried, losses = lr_finder.sweep(run.trainer, wanted)
    best = lr_finder.suggest(tried, losses)
    path = Path("runs/lr") / f"{run.run_id}.png"
    lr_finder.draw(tried, losses, best, path)
    print(
        f"loss {losses[0]:.3f} at {tried[0]:.1e}, lowest {min(losses):.3f}, "
        f"last {losses[-1]:.3f} at {tried[-1]:.1e}\n"
        f"it falls fastest at {best:.2g}: try --lr {best:.2g}; the curve is {path}"
    )
    return 0


def draw_schedules(path: Path, groups: int = 4, epochs: int = 6) -> None:
    """Draw every schedule, and the rates of `groups` of layers while they unfreeze."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    progress = [i / 500 for i in range(501)]
    for name, schedule in SCHEDULES.items():
        left.plot(progress, [schedule(p) for p in progress], label=name)
    left.set(xlabel="share of the run", ylabel="factor of the learning rate", title="schedules")
    left.legend()
    rates = discriminative_rates(1.0, groups)
    for i, rate in enumerate(rates):
        learning = [rate if i >= groups - unfrozen(epoch, groups) else 0 for epoch in range(epochs)]
        label = "top layers" if i == groups - 1 else f"{groups - 1 - i} below"
        right.step(range(epochs + 1), [*learning, learning[-1]], where="post", label=label)
    right.set(xlabel="epoch", ylabel="factor of the learning rate")
    right.set_title("gradual unfreezing with discriminative rates")
    right.legend(loc="center right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Run one of the commands; return an exit status."""
    command, *arguments = sys.argv[1:] if argv is None else argv
    if command == "schedules":
        path = Path(arguments[0]) if arguments else Path("runs/schedules.png")
        draw_schedules(path)
        print(f"drew {path}")
        return 0
    try:
        return find_lr(arguments)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 3
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
