"""What the grader's tests share: the `numbers` corpus with its referee, and a small submission."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autograder import corpus as corpora
from autograder import fixtures as drawn
from autograder import referee

SUBMISSIONS = Path(__file__).resolve().parent.parent / "submissions"
WEIGHTS = "checkpoint.numbers.safetensors"


@pytest.fixture(scope="session")
def numbers() -> corpora.Corpus:
    return corpora.load("numbers")


@pytest.fixture(scope="session")
def judge() -> referee.Referee:
    return referee.load("numbers")


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A data folder that is not the kit's; `LMKIT_DATA` for what is run as a command."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def public(numbers, judge, data) -> drawn.Fixtures:
    return drawn.public(numbers, judge, data)


def load_module(path: Path):
    """Import a file without leaving it in sys.modules."""
    spec = importlib.util.spec_from_file_location(f"base_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def base(tmp_path_factory, numbers) -> Path:
    """tests/submissions/base with weights for `numbers`, of a few seconds' training.

    They are good enough to earn some points, and not all: so a point that is lost shows.
    """
    folder = tmp_path_factory.mktemp("base") / "base"
    shutil.copytree(SUBMISSIONS / "base", folder)
    loader, model, trainer = (
        load_module(folder / f"{name}.py") for name in ("data_loader", "language_model", "trainer")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = model.LanguageModel(len(numbers.vocab))
        batches = list(loader.LanguageModelDataLoader(numbers.train.articles(), 50, shuffle=False))
        training = trainer.LanguageModelTrainer(net, batches)
        for _ in range(10):
            training.train()
    save_file(net.state_dict(), folder / WEIGHTS)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11785)


def framed(header: dict, payload: bytes = b"") -> bytes:
    """A frame as a worker writes it."""
    return json.dumps(header).encode() + b"\n" + payload


READY = framed({"step": "", "ready": True, "nbytes": 0})


class Scripted:
    """A sandbox whose worker says of each step that it is done, or what it is given."""

    tier, official = "T0", False

    def __init__(self, at_end=lambda job: None, written: bytes | None = None) -> None:
        self.at_end, self.written = at_end, written

    def facts(self) -> dict[str, str]:
        return {}

    def launch(self, job) -> Scripted:
        steps = json.loads((job.inputs / "steps.json").read_text())
        said = READY + b"".join(framed({"step": step[0], "done": 1, "nbytes": 0}) for step in steps)
        self.job = job
        self.frames = io.BytesIO(said if self.written is None else self.written)
        log, told = os.pipe()
        os.write(told, b"a word")
        os.close(told)
        self.log = os.fdopen(log, "rb")
        return self

    def stop(self) -> None:
        self.at_end(self.job)

    def wait(self, seconds: float) -> int:
        return 1
