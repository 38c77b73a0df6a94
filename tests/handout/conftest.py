"""The given code, with the solution as the submission that it trains."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in ("handout", "solution"):
    path = str(ROOT / folder)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)


@pytest.fixture
def train(monkeypatch, tmp_path):
    """`train.py`, run in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("train")


@pytest.fixture
def submission(tmp_path):
    """A folder that holds the solution's modules, to train without touching the solution."""
    folder = tmp_path / "a submission"
    folder.mkdir()
    for path in (ROOT / "solution").iterdir():
        if path.suffix != ".safetensors" and path.name != "__pycache__":
            (folder / path.name).symlink_to(path)
    return folder
