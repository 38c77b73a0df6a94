"""What the properties draw from: JSON values, arrays, damaged bytes, text that hides or acts."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from autograder.checks import made_up

V, BATCH, FORWARD = made_up.vocabulary(), made_up.BATCH_SIZE, made_up.FORWARD
ROWS, TIME = made_up.prompts().shape
# Text that a terminal obeys, that HTML or Markdown runs, or that no file system agrees on.
HOSTILE = (
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
    "\0",
    "\r\n",
    "</script><script>",
    "<img src=x onerror=1>",
    "![](http://x)",
    "{{ 7 * 7 }}",
    "[bold]",
    "A" + "\u0301" * 50,
)
LONG = st.just(100_000).map("x".__mul__)
TEXT = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8) | LONG, max_size=3).map("".join)
NUMBERS = st.sampled_from(
    (0, 1, -1, 2**31, 2**63, -(10**4000), 10**4000, True, False, 0.0, -0.0, 1e-320, 1e308)
) | st.sampled_from((math.nan, math.inf, -math.inf, 7.5, 3e38, -1e-9, 100.0))
JSON = st.recursive(
    st.none() | NUMBERS | st.floats() | st.integers(-10, 10) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
X, STREAM = made_up.activations(), made_up.articles()
EMBEDDED = made_up.embedding()[made_up.prompts()]
# What the checks ask for, by a word of its name: shapes, and the kinds of content that may pass.
# An array that is not here may be anything.
SCORES = ("normal", "ones", "ramp")
RIGHT = {
    "inputs": (((BATCH, 40), (40, BATCH)), ("text", "text", "small")),
    "targets": (((BATCH, 40), (320,)), ("text", "text", "small")),
    "after": ((STREAM.shape,), ("text", "ids")),
    "scores": (((ROWS, V), (ROWS, TIME, V)), SCORES),
    "again": (((ROWS, V), (ROWS, FORWARD)), (*SCORES, "ids")),
    "reversed": (((ROWS, V),), SCORES),
    "one": (((1, V),), SCORES),
    "other": (((ROWS, V),), SCORES),
    "along": (((ROWS, V),), SCORES),
    "greedy": (((ROWS, V),), SCORES),
    "words": (((ROWS, FORWARD),), ("ids", "small")),
    "losses": (((30,), (5, 6)), ("ones", "small", "falling")),
    "saved": (((ROWS, V),), SCORES),
    "loaded": (((ROWS, V),), SCORES),
    "train": ((X.shape, EMBEDDED.shape), ("masked", "given")),
    "eval": ((X.shape, EMBEDDED.shape), ("given",)),
    "lengths": (((2000,),), ("lengths", "lengths", "small")),
    "short": (((200,),), ("ones", "small")),
    "value": (((),), ("ones", "normal")),
}
ODD = ((), (0,), (0, 7), (2, 0, 3), (1, 1, 1, 1), (V, ROWS), (5, 6), (BATCH, 1), (1, V))
FILLS = ("zeros", "ones", "normal", "small", "ids", "ramp", "wild")


@st.composite
def arrays(
    draw: st.DrawFn, shapes: tuple[tuple[int, ...], ...], fills: tuple[str, ...], odd: bool
) -> np.ndarray:
    """Draw a float32 or int64 array, as `run._array` gives them.

    Args:
        shapes: right ones.
        fills: kinds of content that may be right.
        odd: other shapes too, and numbers that nobody wants.
    """
    shape = draw(st.sampled_from(ODD if odd and draw(st.booleans()) else shapes))
    fill = draw(st.sampled_from(FILLS if odd and draw(st.booleans()) else fills))
    array = filled(fill, shape, np.random.default_rng(draw(st.integers(0, 20))))
    whole = fill in ("text", "ids", "small", "lengths", "ramp")
    array = np.array(array, draw(st.sampled_from(("<f4", "<i8") if odd or whole else ("<f4",))))
    if odd and array.size and draw(st.booleans()):
        values = (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 0.5, -1)
        if array.dtype.kind == "i":
            values = (-1, V, -(2**63), 2**63 - 1)
        for _ in range(draw(st.integers(1, 3))):
            place = draw(st.integers(0, array.size - 1))
            array.flat[place] = draw(st.sampled_from(values))
    array.flags.writeable = False
    return array


def filled(fill: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return an array of one kind of content."""
    count = math.prod(shape)
    if fill == "wild":
        return rng.choice([0.0, 1.0, -1e18, 1e18, 1e-40], size=shape)
    if (
        fill == "text" and count <= 400 and count % BATCH == 0
    ):  # rows that read on, from one of the first words on
        rows = STREAM[rng.integers(0, 4) :][: BATCH * 50].reshape(BATCH, 50)[:, : count // BATCH]
        return (rows.T if len(shape) == 2 and shape[0] > BATCH else rows).reshape(shape)
    if fill in ("given", "masked"):
        given = next((x for x in (X, EMBEDDED) if x.shape == shape), np.ones(shape))
        mask = rng.random(shape if rng.random() < 0.3 else (*shape[:1], 1, *shape[2:])) < 0.5
        return given * (mask * rng.choice([1.0, 2.0]) if fill == "masked" and shape else 1)
    if fill == "lengths":
        return np.round(rng.normal(np.where(rng.random(shape) < 0.05, 35, 70), rng.choice([0, 5])))
    return {
        "zeros": np.zeros(shape),
        "ones": np.ones(shape),
        "normal": rng.normal(size=shape),
        "small": rng.integers(0, 30, size=shape).astype(np.float64),
        "falling": np.linspace(8, 6, count).reshape(shape),
        "text": np.resize(STREAM, shape),
        "ids": rng.integers(0, V, size=shape).astype(np.float64),
        "ramp": np.arange(count, dtype=np.float64).reshape(shape) % V,
    }[fill]


# What the checks read besides, by the last word of its name.
FLAGS = ("endless", "no_loss", "skipped")
VALUES = {
    "is_module": st.just(True),
    "parameters": st.integers(0, 2**80) | st.just({"a": [1, 2]}),
    "first_nll": st.floats(0, 50),
    "tokens": st.integers(0, 1000),
    "unmoved": st.lists(TEXT, max_size=3),
    "parameter_count": st.integers(0, 3),
    "trained_in_eval_mode": st.booleans(),
    "nll": st.floats(0, 50),
    "files": st.lists(TEXT, max_size=2),
}


def values(name: str, odd: bool) -> st.SearchStrategy:
    """Return what a JSON value of this name is drawn from."""
    last = name.rpartition(".")[2]
    if odd:
        return st.none() | JSON
    return st.none() if last in FLAGS else VALUES.get(last, st.none() | TEXT)


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Draw one of some valid inputs, cut, or with a few bytes changed, put in or taken out."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        change = draw(st.sampled_from(("set", "set", "put", "cut", "take", "double")))
        if change == "set":
            data[at : at + 1] = bytes([draw(st.sampled_from((0, 9, 32, 48, 127, 255, 1, 128)))])
        elif change == "put":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif change == "cut":
            del data[at:]
        elif change == "take":
            del data[at : at + draw(st.integers(1, 600))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 600))]
    return bytes(data)


def expected(name: str) -> tuple[tuple, tuple[str, ...]]:
    """Return the shapes and the kinds of content that the array of this name may rightly have."""
    words = re.findall("[a-z]+", name)
    return next((RIGHT[word] for word in words if word in RIGHT), (ODD, FILLS))


class Drawn(dict):
    """A dict that draws what it is asked for, so that all that a check looks at is drawn."""

    def __init__(self, draw: Callable[[str], Any]) -> None:
        super().__init__()
        self._draw = draw

    def get(self, key: str, default: object = None) -> object:
        """Return what was drawn for `key`; `default` where that is None."""
        if not super().__contains__(key):
            self[key] = self._draw(key)
        value = super().__getitem__(key)
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None

    def __getitem__(self, key: str) -> object:
        return self.get(key)
