"""Where the parts of a histogram stand: bars, the rubric's steps, the axis.

As in a report's scale, everything is in percent across and in pixels down. Not covered: colours and
words around it.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..report import figures
from ..report.scale import ROW, Mark, anchor, in_rows, ticks

BINS = 40  # bars, about
HEIGHT = 90  # pixels of the highest bar


@dataclass(frozen=True)
class Bar:
    """A bar: left end and width in percent, upper end and height in pixels."""

    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """A drawing.

    `highest` is how many values the highest bar stands for, `beyond` how many lie past the axis'
    end and stand in its last bar.
    """

    height: int
    base: int
    bars: tuple[Bar, ...]
    steps: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    highest: int
    beyond: int
    summary: str


def histogram(
    values: Sequence[float], steps: Sequence[tuple[float, float]], end: float | None = None
) -> Histogram:
    """Lay out a histogram with the rubric's steps.

    Args:
        values: at least one.
        steps: `(nll, points)`, best first.
        end: the axis runs from 0 to here; if None, over all values and steps but those far above.
    """
    places = [at for at, _ in steps]
    low, high = (0.0, end) if end else _range(values, places)
    width = _bin(high - low)
    first = math.floor(low / width + 1e-9)
    bins = max(math.ceil(high / width - 1e-9) - first, 1)
    low, high = first * width, (first + bins) * width
    counts = [0] * bins
    for value in values:
        counts[min(max(int((value - low) / width + 1e-9), 0), bins - 1)] += 1
    marks, rows = in_rows([(figures.number(worth), _x(at, low, high)) for at, worth in steps], 12)
    base = rows * ROW + HEIGHT + 8
    unit = HEIGHT / max(counts)
    beyond = sum(value > high for value in values)
    return Histogram(
        height=base + ROW + 4,
        base=base,
        bars=tuple(
            Bar(
                round(100 * place / bins, 2),
                round(100 / bins, 2),
                round(base - unit * amount, 1),
                round(unit * amount, 1),
            )
            for place, amount in enumerate(counts)
            if amount
        ),
        steps=marks,
        ticks=tuple(
            Mark(x, base + 15, figures.number(tick), anchor(x, figures.number(tick)))
            for tick in ticks(low, high)
            for x in (_x(tick, low, high),)
        ),
        highest=max(counts),
        beyond=beyond,
        summary=_summary(values, steps, beyond),
    )


def _range(values: Sequence[float], places: Sequence[float]) -> tuple[float, float]:
    """The axis' ends: all steps, and the values but for those far above the others."""
    ordered = sorted(values)
    upper = ordered[(3 * len(ordered)) // 4] if len(ordered) > 3 else ordered[-1]
    middle = statistics.median(ordered)
    room = max(upper - middle, 0.5 * (max(places) - min(places)) if places else 0.0, 0.5)
    low = min([ordered[0], *places])
    high = max([min(ordered[-1], upper + 3 * room), *places])
    margin = 0.03 * max(high - low, 1.0)
    return max(low - margin, 0.0) if low >= 0 else low - margin, high + margin


def _bin(extent: float) -> float:
    """A round width of about `BINS` bins."""
    power = 10.0 ** math.floor(math.log10(extent / BINS))
    return next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= extent / BINS * 0.999)


def _x(at: float, low: float, high: float) -> float:
    return round(100 * (min(max(at, low), high) - low) / (high - low), 2)


def _summary(values: Sequence[float], steps: Sequence[tuple[float, float]], beyond: int) -> str:
    """The drawing in words."""
    parts = [
        f"{figures.count(len(values), 'hand-in')}, lowest {figures.nll(min(values))}, median "
        f"{figures.nll(statistics.median(values))}, highest {figures.nll(max(values))}"
    ]
    parts += [f"{figures.number(worth)} points at {figures.nll(at)}" for at, worth in steps]
    parts += [f"{beyond} past the axis' end"] if beyond else []
    return "; ".join(parts)
