"""Right hand-ins in other styles: put together from `parts/`, with trained weights, and graded.

Covered: reading `variants.toml`, writing a hand-in, training its weights with its own loader and
trainer, grading it, and what its weights are worth. Not covered: the weights' scores computed once
more (`oracles.py`), what ought to come of it all (`test_variants.py`).
"""

import importlib
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from autograder import sandbox
from autograder.commands.hand_ins import given_files
from autograder.fixtures import FORWARD
from autograder.grade import grade
from autograder.judge import mark_generation, mark_prediction
from autograder.referee.model import one_thread
from autograder.result import Check, Result
from autograder.rubric import tomllib
from autograder.submission import MODULES
from tests.mutants.mutation import WEIGHTS, Grader, edit
from tests.variants import oracles

HERE = Path(__file__).parent
PARTS, VARIANTS = HERE / "parts", HERE / "variants.toml"
PROBLEMS = ("prediction", "generation")
NLLS = ("prediction_nll_plain", "generation_nll")  # without the control variate
BATCH_SIZE = 50


@dataclass(frozen=True)
class Variant:
    """A right hand-in: for each module the part that it is made of.

    `weights` names the architecture, whose weights the variant with `epochs` trains for all that
    share it. `own` are further files; `edits` are `[file, old, new]`; `first` is put before a
    module's code. `checkpoint` is how weights are handed in: as "safetensors" (with `settings`), as
    a bare "state dict" or the "course"'s in a .pt, or in a file of that name. `packed` is the kind
    of archive, with all files one folder down. `beam` is the width of its search. `rounding` is how
    far the precision of its scores may move the NLLs of prediction and generation. What is
    `sandboxed` uses files, processes or output, and so a sandbox's refusal could hurt it.
    """

    name: str
    weights: str
    data_loader: str
    language_model: str
    trainer: str
    inference: str
    own: tuple[str, ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()
    first: dict[str, str] = field(default_factory=dict)
    checkpoint: str = "safetensors"
    settings: str = "{}"
    packed: str = ""
    epochs: int = 0
    beam: int = 1
    rounding: tuple[float, float] = (0.0, 0.0)
    sandboxed: bool = False


@dataclass(frozen=True)
class Worth:
    """What weights are worth: the NLLs of both problems, and their points."""

    nlls: tuple[float, float]
    points: tuple[float, float]


def load(path: Path = VARIANTS) -> list[Variant]:
    """Read all variants; an unknown key is an error."""
    return [Variant(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["variant"]]


def write(variant: Variant, folder: Path) -> None:
    """Write a hand-in without its weights."""
    folder.mkdir(parents=True)
    for module in MODULES:
        shutil.copy(PARTS / module / f"{getattr(variant, module)}.py", folder / f"{module}.py")
    for name in variant.own:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(PARTS / "own" / name, folder / name)
    for file, old, new in variant.edits:
        edit(folder / file, old, new)
    for module, code in variant.first.items():
        path = folder / f"{module}.py"
        path.write_text(code + path.read_text(encoding="utf-8"), encoding="utf-8")


@contextmanager
def imported(folder: Path) -> Iterator[Any]:
    """Import a hand-in's modules by their plain names, and leave none of them behind."""
    names = {path.stem for path in folder.iterdir()}

    def forget() -> dict[str, Any]:
        found = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in found}

    before = forget()
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        forget()
        sys.modules.update(before)


def train(variant: Variant, folder: Path, articles: np.ndarray, vocabulary: int) -> nn.Module:
    """Train a hand-in's model with its own loader and trainer."""
    random.seed(0)
    np.random.seed(0)
    with torch.random.fork_rng(devices=[]), imported(folder) as module, one_thread():
        torch.manual_seed(0)
        model = module("language_model").LanguageModel(vocabulary)
        loader = module("data_loader").LanguageModelDataLoader(articles, BATCH_SIZE, shuffle=True)
        trainer = module("trainer").LanguageModelTrainer(model, loader, variant.epochs, "variant")
        for _ in range(variant.epochs):
            trainer.train()
    return model


class Variants:
    """Trains and grades; weights are trained once for all variants that share them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.all = folder, load()
        self.grader = Grader(folder / "data")
        self.model = cache(self.model)
        self.worth = cache(self.worth)

    def model(self, weights: str) -> nn.Module:
        """The trained model of an architecture."""
        variant = next(v for v in self.all if v.weights == weights and v.epochs)
        folder = self.folder / "training" / weights
        write(variant, folder)
        corpus = self.grader.exam.corpus
        return train(variant, folder, corpus.train.articles(), len(corpus.vocab))

    def worth(self, weights: str, beam: int) -> Worth:
        """What an architecture's weights are worth, by its oracle."""
        tensors = self.model(weights).state_dict()
        state = {name: tensor.double().numpy() for name, tensor in tensors.items()}
        fixtures, rules = self.grader.exam.fixtures, self.grader.exam.rules

        def scores(ids: np.ndarray) -> np.ndarray:
            return oracles.MODELS[weights](state, ids)

        nll = oracles.next_word_nll(scores, fixtures)
        words = oracles.beam(scores, fixtures.generation, FORWARD, beam)
        prediction, _ = mark_prediction(nll, fixtures, rules)
        generation, found = mark_generation(words, self.grader.exam)
        return Worth((float(nll.mean()), found["generation_nll"]), (prediction, generation))

    def hand_in(self, variant: Variant, folder: Path) -> Path:
        """Write a hand-in with trained weights; return the folder or archive."""
        write(variant, folder)
        model = self.model(variant.weights)
        if variant.checkpoint == "safetensors":
            metadata = {"settings": variant.settings}
            safetensors.torch.save_model(model, str(folder / WEIGHTS), metadata)
        elif variant.checkpoint == "state dict":
            torch.save(model.state_dict(), folder / "checkpoint.numbers.pt")
        elif variant.checkpoint == "course":
            torch.save({"state_dict": model.state_dict()}, folder / "checkpoint.numbers.pt")
        else:
            torch.save(model.state_dict(), folder / variant.checkpoint)
        if not variant.packed:
            return folder
        for rubbish in (".DS_Store", "notes.md", "training.ipynb"):
            (folder / rubbish).write_bytes(b"\0")
        return Path(shutil.make_archive(str(folder), variant.packed, folder.parent, folder.name))

    def graded(self, variant: Variant, folder: Path, box: sandbox.Chosen) -> Result:
        """Grade a variant, as `make grade` does, in a sandbox."""
        return grade(
            self.hand_in(variant, folder / "hand-in"),
            self.grader.exam,
            log=folder / "output.txt",
            given=given_files(folder),
            box=box,
        )


def lost(variant: Variant, result: Result, worth: Worth) -> list[str]:
    """Say what a right variant lost: checks that failed, NLLs and points other than it is worth."""
    found = [f"{check.id}: {check.message}" for check in result.checks if misses(check)]
    checks = {check.id: check for check in result.checks}
    seen = [result.metrics.get(name) for name in NLLS]
    for i, problem in enumerate(PROBLEMS):
        # Shown are four decimals. What float32 and another order of sums change is far less.
        near = 1e-4 + variant.rounding[i]
        if seen[i] is None or abs(seen[i] - worth.nlls[i]) > near:
            found.append(f"{problem}: NLL {seen[i]}, where {worth.nlls[i]:.4f} is due")
        # A hundred points a nat is more than any step of the rubric.
        if checks[problem].score < worth.points[i] - 100 * near:
            found.append(f"{problem}: {checks[problem].score}, where {worth.points[i]} is due")
    return found


def misses(check: Check) -> bool:
    """Whether a check failed, or was not made although nothing in the hand-in excuses that."""
    if check.id in PROBLEMS:
        return False  # less than full points; what is due is another question
    optional = check.id.startswith("regularization.") or check.id == "trainer.test"
    return check.passed is False or (check.passed is None and not optional)
