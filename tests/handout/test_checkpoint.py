"""Weights and states come back as they were, and a broken write harms nothing."""

import json
import os
import random

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


def test_nothing_in_the_files_is_pickled(tmp_path):
    checkpoint.save_state(tmp_path / "s.safetensors", Trainer(Tied(6)), {})
    data = (tmp_path / "s.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])  # all that is not numbers is JSON
    ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
    assert max(ends) == len(data) - 8 - size
