"""worker.py: what a submission returns becomes plain numbers, what it raises becomes words."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autograder import checks, worker
from autograder.worker import HandedIn, Unusable, Worker, as_array, describe, step_save, step_train

SCORES = torch.tensor([[1.5, -2.0], [0.25, 3.0]])


@pytest.mark.parametrize(
    "value",
    [
        SCORES,
        SCORES.numpy(),
        SCORES.double(),
        SCORES.half(),
        SCORES.bfloat16(),
        SCORES.clone().requires_grad_(),
        SCORES.t().contiguous().t(),
        SCORES.tolist(),
        tuple(map(tuple, SCORES.tolist())),
        list(SCORES),
        list(SCORES.numpy()),
        (SCORES, "hidden"),
        (SCORES, (SCORES, SCORES)),
        (SCORES.numpy(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_in_any_form_become_float32_in_c_order(value):
    array = as_array(value)
    assert array.dtype.str == "<f4"
    assert array.flags.c_contiguous
    assert array.tolist() == SCORES.tolist()


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([[1, 2], [3, 4]]),
        torch.tensor([[1, 2], [3, 4]], dtype=torch.int32),
        np.array([[1, 2], [3, 4]], dtype=np.uint16),
        np.array([[1, 2], [3, 4]], dtype=">i4"),
        [[1, 2], [3, 4]],
        [torch.tensor([1, 2]), torch.tensor([3, 4])],
        [[np.int64(1), 2], [3, 4]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_ids_in_any_form_become_int64(value):
    array = as_array(value)
    assert array.dtype.str == "<i8"
    assert array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "one two",
        ["one", "two"],
        [[1, 2], [3]],
        [[1, 2], [3, None]],
        [torch.zeros(2), torch.zeros(3)],
        {"scores": 1},
        lambda: 1,
        np.array([1, 2j]),
        np.array([object()]),
        np.array(["2020-01-01"], dtype="M8[D]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_array_of_numbers_is_named(value):
    with pytest.raises(Unusable):
        as_array(value)


def failing(path, source: str) -> BaseException:
    try:
        exec(compile(source, str(path), "exec"), {})
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it was meant to fail")


def test_an_exception_is_described_by_the_submissions_own_last_line(tmp_path):
    source = "import json\n\ndef load():\n    return json.loads('{')\n\nload()\n"
    (tmp_path / "trainer.py").write_text(source)
    seen = describe(failing(tmp_path / "trainer.py", source), tmp_path)
    assert seen["type"] == "JSONDecodeError"
    assert seen["where"] == "trainer.py:4: return json.loads('{')"


def test_a_syntax_error_is_described_by_its_line(tmp_path):
    seen = describe(failing(tmp_path / "trainer.py", "x = 1\nclass :\n"), tmp_path)
    assert seen["type"] == "SyntaxError"
    assert seen["where"] == "trainer.py:2: class :"


def test_a_long_message_is_cut(tmp_path):
    seen = describe(ValueError("x" * 10**6), tmp_path)
    assert len(seen["message"]) == 2000
    assert seen["where"] == ""


def test_modules_of_the_assignment_come_from_the_hand_in_and_no_others(tmp_path):
    for name in ("trainer", "config", "json", "torch", "numpy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit\n")
    find = HandedIn(tmp_path).find_spec
    assert find("trainer").origin == str(tmp_path / "trainer.py")
    assert find("config").origin == str(tmp_path / "config.py")
    assert [find(n) for n in ("json", "torch", "numpy", "sitecustomize", "inference")] == [None] * 5


def test_importing_the_worker_does_nothing():
    assert not any(isinstance(finder, HandedIn) for finder in sys.meta_path)
    assert set(worker.STEPS) >= {"import", "loader", "weights", "prediction", "generation"}


class Model(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, 4)
        self.decoder = torch.nn.Linear(4, vocab_size)

    def forward(self, inputs):
        return self.decoder(self.embedding(inputs))


class Loader:
    def __init__(self, dataset, batch_size, shuffle=True):
        self.words = torch.from_numpy(np.concatenate(list(dataset)))[: 4 * batch_size + 1]
        self.batch_size = batch_size

    def __len__(self):
        return 1

    def __iter__(self):
        yield tuple(part.view(self.batch_size, 4) for part in (self.words[:-1], self.words[1:]))


class Trainer:
    """One cycle of the learning rate: no step more than epochs and batches make."""

    def __init__(self, model, loader, max_epochs=1, run_id="exp"):
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, 0.1, epochs=max_epochs, steps_per_epoch=len(loader)
        )

    def train_batch(self, inputs, targets):
        loss = torch.nn.functional.cross_entropy(self.model(inputs).mT, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """Runs a step of the worker with a trainer; returns what was reported, by name."""
    monkeypatch.chdir(tmp_path)
    arrays = checks.arrays()
    for name, array in arrays.items():
        array.tofile(tmp_path / f"{name}.bin")
    described = {n: {"dtype": a.dtype.str, "shape": a.shape} for n, a in arrays.items()}
    (tmp_path / "spec.json").write_text(json.dumps({**checks.settings(), "arrays": described}))
    classes = {"language_model": Model, "data_loader": Loader}

    def run(step, trainer) -> dict:
        job = Worker(tmp_path, tmp_path, io.BytesIO())
        monkeypatch.setattr(job, "get", {**classes, "trainer": trainer}.__getitem__)
        monkeypatch.setattr(job, "module", lambda name: SimpleNamespace())
        found = {}
        monkeypatch.setattr(job, "value", found.__setitem__)
        monkeypatch.setattr(job, "array", lambda name, value: found.update({name: as_array(value)}))
        step(job)
        return found

    return run


def test_a_schedule_that_counts_steps_has_room_for_all_of_them(seen):
    assert len(seen(step_train, Trainer)["losses"]) == checks.settings()["train_steps"]


@pytest.mark.parametrize("name", ["model-1.pkl", "exp.pt", "exp.pth"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_of_torch_save_are_read_back(name, wrapped, seen):
    class Saves(Trainer):
        def save(self):
            state = self.model.state_dict()
            torch.save({"state_dict": state, "epoch": 1} if wrapped else state, name)

    found = seen(step_save, Saves)
    assert found["files"] == [name]
    assert np.array_equal(found["saved"], found["loaded"])


def test_what_else_torch_save_wrote_is_left_alone(seen):
    class Saves(Trainer):
        def save(self):
            torch.save(self.model, "exp.pt")

    assert seen(step_save, Saves) == {"files": ["exp.pt"]}


def test_other_weights_than_the_models_are_seen(seen):
    class Saves(Trainer):
        def save(self):
            torch.save(Model(self.model.decoder.out_features).state_dict(), "exp.pt")

    found = seen(step_save, Saves)
    assert not np.allclose(found["saved"], found["loaded"])
