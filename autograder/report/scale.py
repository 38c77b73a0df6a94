"""Where the parts of a problem's drawing stand: the NLL axis, the rubric's points, the marks.

Across, everything is a percentage of the width, so that one drawing serves a phone and paper with
its letters unscaled; down, everything is in pixels. Not covered: colours and words around it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .figures import nll, number

NARROW = 330  # pixels: the width at which no two labels may touch
LETTER = 6.6  # pixels of one character of a label, generously
TOP, BASE = 38, 120  # pixels: the height of all points, and of none
ROW = 17  # pixels of a row of labels


@dataclass(frozen=True)
class Mark:
    """A label at a place: `x` in percent, `y` its baseline, `anchor` as in SVG."""

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Line:
    """A straight piece of the rubric: ends in percent across and pixels down."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Scale:
    """A drawing.

    `band` is two standard errors each way as (x, width); `earned` the height of the points that
    were given; `beyond` says that the NLL lies past the axis' end.
    """

    height: int
    rubric: tuple[Line, ...]
    steps: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    references: tuple[Mark, ...]
    here: Mark | None
    band: tuple[float, float] | None
    earned: float | None
    beyond: bool
    summary: str


def draw(
    steps: Sequence[tuple[float, float]],
    value: float | None,
    stderr: float | None,
    earned: float | None,
    references: Sequence[tuple[str, float]],
) -> Scale | None:
    """Lay out the scale of one problem; None where there is nothing to place.

    Args:
        steps: the rubric's `(nll, points)`, best first.
        value: the submission's NLL.
        stderr: its standard error.
        earned: its points; they may lie below the rubric's line.
        references: `(name, nll)` of other marks.
    """
    places = [step[0] for step in steps] + [at for _, at in references]
    if value is None and not places:
        return None
    low, high = _range(places, value, 2 * (stderr or 0.0))
    top = max((worth for _, worth in steps), default=0.0)

    def x(at: float) -> float:
        return round(100 * (min(max(at, low), high) - low) / (high - low), 2)

    def y(worth: float) -> float:
        return round(BASE - (BASE - TOP) * worth / top, 1) if top > 0 else float(BASE)

    corners = [(0.0, y(steps[0][1]))] if steps else []
    corners += [(x(at), y(worth)) for at, worth in steps]
    corners += [(100.0, corners[-1][1])] if steps else []
    marks, rows = in_rows([(f"{name} {nll(at)}", x(at)) for name, at in references], BASE + 2 * ROW)
    here = band = None
    if value is not None:
        text = f"you: {nll(value)}"
        here = Mark(x(value), 12, text, anchor(x(value), text))
        if stderr is not None:
            left, right = x(value - 2 * stderr), x(value + 2 * stderr)
            band = (left, round(right - left, 2))
    return Scale(
        height=BASE + (1 + rows) * ROW + 8,
        rubric=tuple(Line(*start, *end) for start, end in pairwise(corners)),
        steps=_labels(
            [(x(at), y(worth) - 5, number(worth)) for at, worth in steps], here.x if here else None
        ),
        ticks=tuple(
            Mark(x(tick), BASE + 15, number(tick), anchor(x(tick), number(tick)))
            for tick in ticks(low, high)
        ),
        references=marks,
        here=here,
        band=band,
        earned=None if value is None or earned is None or not steps else y(earned),
        beyond=value is not None and value > high,
        summary=_summary(steps, value, references),
    )


def _range(places: Sequence[float], value: float | None, error: float) -> tuple[float, float]:
    """The axis' ends: all places with a margin, the value too unless it lies far out."""
    low, high = (min(places), max(places)) if places else (value or 0.0, value or 0.0)
    room = max(high - low, 1.0)
    if value is not None:
        low = min(low, max(value - error, value - room / 2))
        high = max(high, min(value + error, high + room / 2))
    margin = 0.06 * max(high - low, 1.0)
    return max(0.0, low - margin) if low >= 0 else low - margin, high + margin


def ticks(low: float, high: float) -> list[float]:
    """Round numbers on the axis, eight at most."""
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _width(text: str) -> float:
    """Of a label, in percent of the narrowest drawing."""
    return 100 * LETTER * len(text) / NARROW


def anchor(x: float, text: str) -> str:
    """Where a label at `x` percent is held, so that it stays within the narrowest drawing."""
    half = _width(text) / 2
    return "start" if x < half else "end" if x > 100 - half else "middle"


def _span(x: float, text: str) -> tuple[float, float]:
    left = x - _width(text) * {"start": 0, "middle": 0.5, "end": 1}[anchor(x, text)]
    return left, left + _width(text)


def in_rows(labels: list[tuple[str, float]], first: int) -> tuple[tuple[Mark, ...], int]:
    """Put labels into as few rows as keep them apart on the narrowest drawing."""
    ends: list[float] = []
    marks = []
    for text, x in sorted(labels, key=lambda label: label[1]):
        left, right = _span(x, text)
        row = next((row for row, end in enumerate(ends) if end < left), len(ends))
        ends[row : row + 1] = [right]
        marks.append(Mark(x, first + row * ROW, text, anchor(x, text)))
    return tuple(marks), len(ends)


def _labels(places: list[tuple[float, float, str]], avoid: float | None) -> tuple[Mark, ...]:
    """The points at the rubric's corners: the outermost, then those that find room.

    They stand right of their corners, where the falling line leaves the air to them, and not across
    the submission's line at `avoid`.
    """
    kept: list[tuple[float, Mark]] = []
    for x, y, text in places[:1] + places[:0:-1]:
        left, anchor = (x, "start") if x < 100 - _width(text) else (x - _width(text), "end")
        far = all(
            abs(left - other) > max(_width(text), _width(mark.text)) or abs(y - mark.y) > ROW - 4
            for other, mark in kept
        )
        if far and (avoid is None or not left - 1 < avoid < left + _width(text) + 1):
            kept.append((left, Mark(x, y, text, anchor)))
    return tuple(mark for _, mark in kept)


def _summary(
    steps: Sequence[tuple[float, float]],
    value: float | None,
    references: Sequence[tuple[str, float]],
) -> str:
    """The drawing in words."""
    parts = ["no NLL was measured" if value is None else f"this submission {nll(value)}"]
    parts += [f"{number(worth)} points at NLL {nll(at)}" for at, worth in steps]
    parts += [f"{name} {nll(at)}" for name, at in references]
    return "; ".join(parts)
