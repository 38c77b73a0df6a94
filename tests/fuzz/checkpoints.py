"""Whatever a file of weights holds, loading it gives a sound model or an ordinary exception.

The grader itself never loads one: its worker does, in the sandbox, by the same library.
"""

import importlib.util
import json
import tempfile
from pathlib import Path

import safetensors
import torch
from hypothesis import strategies as st
from torch import nn

from .drawing import JSON, TEXT

HANDOUT = Path(__file__).resolve().parents[2] / "handout"
ORDINARY = (
    AttributeError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    safetensors.SafetensorError,
)
SHAPES = {"out.weight": [5, 4], "out.bias": [5]}


class Model(nn.Module):
    """A layer, as wide as the settings in the file say."""

    def __init__(self, vocab_size: int, width: int = 4) -> None:
        super().__init__()
        if width != 4:
            raise ValueError("only 4 here")
        self.out = nn.Linear(width, vocab_size)


def load_checkpoint() -> object:
    """Import the handout's checkpoint.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("fuzzed_checkpoint", HANDOUT / "checkpoint.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checkpoint = load_checkpoint()


def read(data: bytes) -> None:
    """Load any bytes as weights, and as the state of a run."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "checkpoint.safetensors"
        path.write_bytes(data)
        for load in (lambda: checkpoint.load(path, Model, 5), lambda: checkpoint.read_extra(path)):
            try:
                loaded = load()
            except ORDINARY:
                continue
            if isinstance(loaded, Model):
                found = {name: list(p.shape) for name, p in loaded.state_dict().items()}
                assert found == SHAPES
                assert not loaded.training


def good(metadata: dict[str, str]) -> bytes:
    """Return a file that loads."""
    tensors = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    return safetensors.torch.save(tensors, metadata)


SIZES = st.integers(0, 6) | st.sampled_from((-1, 2**31, 2**62, 2**64, 1.5, None, "4"))
TENSOR = st.fixed_dictionaries(
    {"dtype": st.sampled_from(("F32", "F16", "I64", "BOOL", "F8_E4M3", "X")) | JSON},
    optional={
        "shape": st.lists(SIZES, max_size=4) | JSON,
        "data_offsets": st.lists(SIZES | st.sampled_from((16, 20, 80, 100)), max_size=3) | JSON,
    },
)
SETTINGS = st.sampled_from(("{}", '{"width": 4}', '{"width": 99}', "[", "[1]", "[" * 9999, "null"))
HEADER = st.dictionaries(st.sampled_from(tuple(SHAPES)) | TEXT, TENSOR | JSON, max_size=3)
STATE = st.sampled_from(('{"dict": [["extra", {"tuple": [1]}]]}', '{"dict": 3}', "[]", '{"a": 1}'))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw a file of the right layout, whose header may say anything."""
    header = dict(draw(HEADER))
    header["__metadata__"] = draw(
        JSON | st.fixed_dictionaries({}, optional={"settings": SETTINGS | TEXT, "state": STATE})
    )
    text = json.dumps(header).encode()
    length = len(text) + draw(st.sampled_from((0, 0, 0, 0, -1, 1, 2**40, 2**63)))
    data = draw(st.integers(0, 120).map(bytes))
    return (length % 2**64).to_bytes(8, "little") + text + data


SEEDS = (good({"settings": "{}"}), good({"settings": '{"width": 4}', "state": '{"dict": []}'}))
