"""Reads and validates rubric.toml."""

import difflib
import hashlib
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import checks
from .faults import Fault

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = Path(__file__).with_name("rubric.toml")
CORPORA = ("wikitext2", "numbers")
MOST = 1e6  # nats or points: sums and slopes stay far from what a float can hold


class RubricError(Fault):
    """The rubric does not say what it has to; the message names the place."""


@dataclass(frozen=True)
class Problem:
    """Steps of one problem: `(nll, points)`, best first."""

    steps: tuple[tuple[float, float], ...]
    max_degenerate: float = 1.0

    @property
    def max_points(self) -> float:
        """What the best NLL earns."""
        return self.steps[0][1]


@dataclass(frozen=True)
class Rubric:
    """What is worth how much on one corpus."""

    prediction: Problem
    generation: Problem
    checks: dict[str, float]
    digest: str


def load(corpus: str, path: Path = DEFAULT) -> Rubric:
    """Read the rubric for one corpus.

    Raises:
        RubricError: the file is not TOML, or a value is missing, unknown or out of range.
    """
    try:
        data = path.read_bytes()
        tables = tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise RubricError(f"{path} cannot be read: {error}") from error
    _known(tables, (*CORPORA, "checks"), f"{path}: there is no table")
    problems = tables.get(corpus)
    if not isinstance(problems, dict) or set(problems) != {"prediction", "generation"}:
        raise RubricError(f"{path}: [{corpus}] needs just the tables prediction and generation")
    worth = tables.get("checks", {})
    if not isinstance(worth, dict):
        raise RubricError(f"{path}: [checks] is not a table")
    _known(worth, (*checks.ids(), "weights.load"), f"{path}: [checks] there is no check")
    for name, points in worth.items():
        if not _number(points) or points < 0:
            raise RubricError(f"{path}: [checks] {name} is not a number of points: {points!r}")
    return Rubric(
        _problem(problems["prediction"], f"{path}: [{corpus}.prediction]"),
        _problem(problems["generation"], f"{path}: [{corpus}.generation]"),
        {name: float(points) for name, points in worth.items()},
        hashlib.sha256(data).hexdigest(),
    )


def _known(table: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    """Refuse a name that means nothing, for what was meant by it would be ignored."""
    for name in table:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise RubricError(f"{what} {name!r}; the nearest name is {nearest!r}")


def _problem(table: Any, place: str) -> Problem:
    if not isinstance(table, dict):
        raise RubricError(f"{place} is not a table")
    unknown = set(table) - {"steps", "max_degenerate"}
    if unknown:
        raise RubricError(f"{place} has an unknown key: {', '.join(sorted(unknown))}")
    steps = table.get("steps")
    if (
        not isinstance(steps, list)
        or len(steps) < 2
        or not all(isinstance(s, list) and len(s) == 2 and all(map(_number, s)) for s in steps)
    ):
        raise RubricError(f"{place} steps: two or more [NLL, points] pairs are needed")
    pairs = list(pairwise(steps))
    if not all(a[0] < b[0] and a[1] >= b[1] >= 0 for a, b in pairs):
        raise RubricError(f"{place} steps: NLLs have to rise and points to fall, to 0 or more")
    bound = table.get("max_degenerate", 1.0)
    if not _number(bound) or not 0 <= bound <= 1:
        raise RubricError(f"{place} max_degenerate is a share, 0 to 1, not {bound!r}")
    return Problem(tuple((float(n), float(p)) for n, p in steps), float(bound))


def _number(value: Any) -> bool:
    return type(value) in (int, float) and -MOST <= value <= MOST
