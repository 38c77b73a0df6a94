"""Makes a trained checkpoint of `solution/` the referee: measures it and copies it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch

from ..corpus import Corpus, Split
from ..files import atomic_write
from .model import FOLDER, Referee

LENGTH = 20
MAX_BYTES = 35_000_000


def install(checkpoint: Path, corpus: Corpus, folder: Path = FOLDER) -> Path:
    """Write `<corpus>.safetensors` with the NLL of both graded splits in its metadata.

    Raises:
        ValueError: the file is larger than what the kit ships.
    """
    with safetensors.safe_open(checkpoint, "pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = json.loads(metadata["settings"])
    referee = Referee(tensors, settings, {}, hashlib.sha256(checkpoint.read_bytes()).hexdigest())
    measured = {name: split_nll(referee, corpus.split(name)) for name in ("valid", "test")}
    metadata["measured"] = json.dumps({name: round(nll, 4) for name, nll in measured.items()})
    data = safetensors.torch.save(tensors, metadata)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data):,} bytes, where {MAX_BYTES:,} are the most")
    path = folder / f"{corpus.name}.safetensors"
    with atomic_write(path) as file:
        file.write(data)
    return path


def split_nll(referee: Referee, split: Split, rows: int = 4096) -> float:
    """Return the mean NLL over every word of a split that has 20 words before it in its article.

    It is what a draw of fixtures is balanced against, so it reads each word with a prefix of just
    that length.
    """
    total = count = 0.0
    for begin, end in zip(split.offsets[:-1], split.offsets[1:], strict=True):
        starts = np.arange(begin, end - LENGTH)
        for i in range(0, len(starts), rows):
            windows = split.ids[starts[i : i + rows, None] + np.arange(LENGTH + 1)].astype(np.int64)
            nll = referee.word_nll(windows[:, :-1], windows[:, -1:])
            total += float(nll.sum())
            count += nll.size
    return total / count
