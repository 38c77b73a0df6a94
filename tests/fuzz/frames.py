"""Whatever a worker writes, reading it ends in an observation, in garbage or in an end."""

import io
import json
import math
import queue
import threading
import time

import numpy as np
from hypothesis import strategies as st

from autograder import run
from autograder.run import DTYPES, Garbage, Observation

from .drawing import JSON

STEP = "inference.prediction"
SIZES = st.integers(0, 9) | st.sampled_from((-1, 2**31, 2**62, 10**4000, 1.0, True, None, "4"))
HEADER = st.fixed_dictionaries(
    {},
    optional={
        "step": st.sampled_from((STEP, STEP, STEP, "trainer.batch")) | JSON,
        "name": st.sampled_from(("scores", "words")) | JSON,
        "dtype": st.sampled_from((*DTYPES, "<f8", "|O")) | JSON,
        "shape": st.lists(SIZES, max_size=5) | JSON,
        "value": JSON,
        "error": st.dictionaries(st.sampled_from(("type", "message", "where")), JSON) | JSON,
        "done": st.floats() | JSON,
        "nbytes": SIZES,
    },
)
KINDS = (
    {"name": "x", "dtype": "<f4"},
    {"name": "x", "dtype": "<i8"},
    {"value": 1},
    {"done": 0.5},
    {},
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Draw frames: half of them well formed but for one drawn key."""
    out = b""
    for _ in range(draw(st.integers(0, 5))):
        payload = draw(st.binary(max_size=40))
        header = {"step": STEP, "nbytes": len(payload), **draw(st.sampled_from(KINDS))}
        if "dtype" in header:
            header["shape"] = [len(payload) // DTYPES[header["dtype"]]]
        drawn = draw(HEADER)
        if draw(st.booleans()):
            drawn = dict(list(drawn.items())[:1])
        line = json.dumps(header | drawn, ensure_ascii=draw(st.booleans()))
        if draw(st.integers(0, 9)) == 0:
            line = line.replace("{", '{"nbytes": 1, "step": "x", ', 1)  # keys twice
        out += line.encode("utf-8", "surrogatepass") + b"\n" + payload
    return out + json.dumps({"step": STEP, "nbytes": 0, "done": 1}).encode() + b"\n"


def read(data: bytes) -> None:
    """Read one step off any bytes."""
    line: queue.Queue = queue.Queue()
    run._read(io.BytesIO(data), line, threading.Event(), run.Allowance())
    seen = Observation(STEP)
    try:
        run._fill(seen, line, time.monotonic())
    except (Garbage, EOFError):
        return
    assert seen.status in ("ok", "error")
    for name, array in seen.arrays.items():
        assert isinstance(name, str)
        assert array.dtype.str in DTYPES
        assert array.nbytes == math.prod(array.shape) * array.itemsize <= len(data)
        assert type(array) is np.ndarray
    assert all(isinstance(name, str) for name in seen.values)
    assert all(isinstance(text, str) for text in seen.error.values())


SEEDS = (
    b'{"step": "inference.prediction", "name": "x", "dtype": "<f4", "shape": [2, 1], "nbytes": 8}\n'
    b'abcdefgh{"step": "inference.prediction", "name": "y", "value": [{"a": NaN}], "nbytes": 0}\n'
    b'{"step": "inference.prediction", "error": {"type": "E"}, "nbytes": 0}\n'
    b'{"step": "inference.prediction", "done": 0.5, "nbytes": 0}\n',
)
