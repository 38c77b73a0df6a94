"""What came of the comparison, computed once and shown three ways: a line, a file, a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from autograder.files import atomic_write

from .comparison import STEPS, standard_error
from .stages import Plan
from .task import Passages, Task


@dataclass(frozen=True, eq=False)
class Row:
    """One step under one seed: which test passages it got right, bool [passages], or why not."""

    step: str
    seed: int
    right: NDArray[np.bool_] | None
    seconds: float = 0.0
    epoch: int | None = None
    held_out_nll: float | None = None
    missing: str = ""


def line(row: Row) -> str:
    """Say in a line what came of a row."""
    if row.right is None:
        return f"seed {row.seed}, {row.step}: not run: {row.missing}"
    kept = "" if row.epoch is None else f", epoch {row.epoch} kept"
    return (
        f"seed {row.seed}, {row.step}: {100 * row.right.mean():.1f}% in {row.seconds:.0f} s{kept}"
    )


def write(path: Path, rows: Sequence[Row], task: Task, plan: Plan) -> None:
    """Write a line of JSON a row, the whole file or nothing of it."""
    lines = []
    for row in rows:
        measured: dict[str, Any] = {"step": row.step, "seed": row.seed}
        if row.right is None:
            measured["missing"] = row.missing
        else:
            measured |= {
                "accuracy": float(row.right.mean()),
                "standard_error": standard_error(row.right.astype(float), task.test.articles),
                "seconds": round(row.seconds, 1),
                "epoch": row.epoch,
                "held_out_nll": row.held_out_nll,
            }
        lines.append(json.dumps({**measured, "plan": asdict(plan)}) + "\n")
    with atomic_write(path, "w") as file:
        file.writelines(lines)


def table(rows: Sequence[Row], task: Task) -> Table:
    """Draw a row a step: accuracy, what it is over the row above, seconds of one seed.

    The errors are those of drawing articles; another seed of training is not in them.
    """
    seeds = 1 + max(row.seed for row in rows)
    drawn = Table(
        title="What each step buys",
        caption=f"accuracy in percent on {amount(task.test)};\n± is a standard error over "
        "articles, gain is over the row above",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    drawn.add_column("step", no_wrap=True)
    for heading in ("accuracy", *[f"of {seeds} seeds"] * (seeds > 1), "gain", "time"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    above = None
    for name in STEPS:
        own = [row for row in rows if row.step == name]
        if any(row.right is None for row in own):
            drawn.add_row(name, "not run")
            above = None
            continue
        right = np.mean([row.right for row in own], axis=0)
        each = [100 * row.right.mean() for row in own]
        drawn.add_row(
            name,
            _with_error(right, task),
            *[f"{min(each):.1f} – {max(each):.1f}"] * (seeds > 1),
            "" if above is None else _with_error(right - above, task, sign="+"),
            f"{np.mean([row.seconds for row in own]):.0f} s",
        )
        above = right
    return drawn


def amount(passages: Passages) -> str:
    """Say how many passages there are, and of how many articles."""
    return f"{len(passages):,} passages of {len(np.unique(passages.articles)):,} articles"


def _with_error(values: NDArray[np.float64], task: Task, sign: str = "") -> str:
    error = 100 * standard_error(values, task.test.articles)
    return f"{100 * values.mean():{sign}.1f} ± {error:.1f}"
