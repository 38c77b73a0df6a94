"""Weights and states come back as they were, and a broken write harms nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import checkpoint
import numpy as np
import pytest
import safetensors
import torch
from torch import nn


class Tied(nn.Module):
    def __init__(self, vocab_size, width=4):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.out = nn.Linear(width, vocab_size)
        self.out.weight = self.embedding.weight
        self.register_buffer("rank", torch.randperm(vocab_size) + 70_000)
        self.register_buffer("large", torch.tensor([1e6]))


class Trainer:
    def __init__(self, model, loader=None, run_id="exp"):
        self.model, self.loader, self.run_id = model, loader, run_id
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        self.losses, self.steps = [], 0

    def step(self):
        self.optimizer.zero_grad()
        loss = (self.model.embedding.weight - torch.randn(6, 4)).pow(2).sum()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        self.steps += 1


def test_weights_load_back_tied_and_to_half_precision(tmp_path):
    torch.manual_seed(0)
    model = Tied(6, width=3)
    checkpoint.save(tmp_path / "new folder" / "w.safetensors", model, {"width": 3})
    loaded = checkpoint.load(tmp_path / "new folder" / "w.safetensors", Tied, 6)
    assert loaded.out.weight is loaded.embedding.weight
    # half precision keeps 11 bits: half a unit in the last place is 2 ** -12
    torch.testing.assert_close(loaded.embedding.weight, model.embedding.weight, rtol=2**-11, atol=0)
    assert torch.equal(loaded.rank, model.rank)
    assert torch.equal(loaded.large, model.large)  # beyond half precision's range: kept whole
    assert not loaded.training


def test_tied_weights_are_stored_once_and_in_half_precision(tmp_path):
    checkpoint.save(tmp_path / "w.safetensors", Tied(6), {})
    with safetensors.safe_open(tmp_path / "w.safetensors", "pt") as file:
        dtypes = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert dtypes == {
        "embedding.weight": torch.float16,
        "out.bias": torch.float16,
        "rank": torch.int64,
        "large": torch.float32,
    }


def test_a_state_brings_back_weights_optimizer_counts_and_random_numbers(tmp_path):
    torch.manual_seed(0)
    first = Trainer(Tied(6))
    for _ in range(3):
        first.step()
    checkpoint.save_state(tmp_path / "s.safetensors", first, {"history": [{"epoch": 1}]})
    for _ in range(3):
        first.step()
    wanted = (torch.rand(2).tolist(), np.random.rand(), random.random())
    second = Trainer(Tied(6), run_id="another")
    extra = checkpoint.load_state(tmp_path / "s.safetensors", second)
    for _ in range(3):
        second.step()
    assert (torch.rand(2).tolist(), np.random.rand(), random.random()) == wanted
    assert torch.equal(second.model.out.weight, first.model.out.weight)
    assert second.losses == first.losses
    assert second.steps == 6
    assert second.run_id == "another"  # an argument is the new run's own
    assert extra == {"history": [{"epoch": 1}]}
    assert checkpoint.read_extra(tmp_path / "s.safetensors") == extra


@pytest.mark.parametrize("broken", ["disk", "interrupt"])
def test_a_broken_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / "w.safetensors"
    checkpoint.save(path, Tied(6), {})
    old = path.read_bytes()

    def fail(*_):
        raise OSError("no space left") if broken == "disk" else KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((OSError, KeyboardInterrupt)):
        checkpoint.save(path, Tied(6), {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


SAVER = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch, checkpoint
{limit}
model = torch.nn.Linear(1000, 1000)
for i in range(int(sys.argv[3])):
    torch.nn.init.constant_(model.weight, i)
    checkpoint.save(Path(sys.argv[2]), model, {{"round": i}})
    print(i, flush=True)
"""
# A write that stops short, as on a full disk: this process may write files of 1 MB at most.
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))"


def saver(path, rounds, limit=""):
    handout = Path(checkpoint.__file__).parent
    command = [
        sys.executable,
        "-c",
        SAVER.format(limit=limit),
        str(handout),
        str(path),
        str(rounds),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def round_of(path):
    """Which save a file is of; its weights have to be those of that save, to the last one."""
    with safetensors.safe_open(path, "pt") as file:
        number = json.loads(file.metadata()["settings"])["round"]
        assert (file.get_tensor("weight") == number).all()
    return number


@pytest.mark.skipif(os.name != "posix", reason="limits and signals are POSIX's")
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    saver(path, 1).communicate()
    done = saver(path, 2, LIMIT)
    _, stderr = done.communicate()
    assert done.returncode == 1
    assert "OSError" in stderr
    assert round_of(path) == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="limits and signals are POSIX's")
def test_a_kill_while_saving_leaves_a_whole_file_and_what_is_left_goes_later(tmp_path):
    path = tmp_path / "w.safetensors"
    for milliseconds in (0, 2, 4, 8):  # after the first save; one takes some milliseconds
        process = saver(path, 10**6)
        said = int(process.stdout.readline())
        time.sleep(milliseconds / 1000)
        process.kill()
        process.communicate()
        assert round_of(path) >= said
    left = tmp_path / ".w.safetensors.123"
    left.write_bytes(b"half a file")
    checkpoint.save(path, Tied(6), {})
    assert left.exists()  # somebody may be writing it
    os.utime(left, (0, 0))
    checkpoint.save(path, Tied(6), {})
    assert not left.exists()


def test_nothing_in_the_files_is_pickled(tmp_path):
    checkpoint.save_state(tmp_path / "s.safetensors", Trainer(Tied(6)), {})
    data = (tmp_path / "s.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])  # all that is not numbers is JSON
    ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
    assert max(ends) == len(data) - 8 - size
