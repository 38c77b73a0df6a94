"""Seeded bugs: the solution with one small edit each, and what the grader says of it.

Covered: reading `mutants.toml`, making the edit, running those of the kit's checks that could see
it, in the real worker. Not covered: what ought to come of it (`test_mutants.py`).
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder import checks, corpus, fixtures, referee
from autograder.checks.verdict import Verdict
from autograder.exam import Exam
from autograder.grade import grade
from autograder.result import Check
from autograder.rubric import tomllib
from autograder.run import Observation, run
from autograder.submission import take
from tests.mutants.warm import box

ROOT = Path(__file__).resolve().parents[2]
SOLUTION, HANDOUT = ROOT / "solution", ROOT / "handout"
MUTANTS = Path(__file__).with_name("mutants.toml")
WEIGHTS = "checkpoint.numbers.safetensors"
GIVEN = ("checkpoint.py", "config.py")
ROOMS = ("recurrent", "softmax", "optim", "evaluation")
# Of a small model a training step takes a tenth of the time. It is for bugs of training alone: with
# so few features an untrained model writes one word only, whatever is wrong with its writing.
SMALL = (
    ("embedding_size: int = 256", "embedding_size: int = 64"),
    ("hidden_size: int = 256", "hidden_size: int = 64"),
)
TRAIN_STEPS = 12
MODEL = ("language_model", "trainer", "inference")
# Whose checks run code of a file, in a report's order.
SEEN_BY = {
    "data_loader.py": ("data_loader",),
    "trainer.py": ("trainer",),
    "checkpoint.py": ("trainer",),
    "optim/objective.py": ("trainer",),
    "inference.py": ("inference",),
    "evaluation/decoding.py": ("inference",),
    "language_model.py": MODEL,
    "recurrent/network.py": MODEL,
    "recurrent/lstm.py": MODEL,
    # The trainer's checks run it too, and see no more than a loss that falls.
    "regularization.py": ("data_loader", "language_model", "inference", "regularization"),
}


@dataclass(frozen=True)
class Mutant:
    """A bug: `old` in `file` becomes `new`, or `append` comes after all; `check` is to name it.

    `says` are words that the check's message or hint has to hold. A `graded` mutant keeps trained
    weights and is graded whole, on the embedded corpus.
    """

    name: str
    file: str
    check: str
    old: str = ""
    new: str = ""
    append: str = ""
    says: str = ""
    graded: bool = False


def load(path: Path = MUTANTS) -> list[Mutant]:
    """Read all mutants; an unknown key is an error."""
    return [Mutant(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]


def edit(path: Path, old: str, new: str) -> None:
    """Replace a snippet of a file.

    Raises:
        ValueError: it is not there exactly once, or nothing would change.
    """
    text = path.read_text(encoding="utf-8")
    if not old or text.count(old) != 1 or old == new:
        raise ValueError(f"{path.name} holds {text.count(old)} times, where once is wanted: {old}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def copy(folder: Path, small: bool) -> None:
    """Copy what the checks run of the solution, with the given files; its model may be `small`."""
    shutil.copytree(
        SOLUTION,
        folder,
        ignore=lambda place, names: {
            name
            for name in names
            if not name.endswith(".py") and not (place == str(SOLUTION) and name in ROOMS)
        },
    )
    for name in GIVEN:
        shutil.copy(HANDOUT / name, folder)
    for old, new in SMALL if small else ():
        edit(folder / "config.py", old, new)


def seed(mutant: Mutant, folder: Path) -> None:
    """Make a mutant of a copy of the solution."""
    path = folder / mutant.file
    if mutant.append:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n\n" + mutant.append)
    else:
        edit(path, mutant.old, mutant.new)
    compile(path.read_text(encoding="utf-8"), path.name, "exec")  # a slip here is not the bug


def checked(folder: Path, rooms: Iterable[str], log: Path) -> list[Verdict]:
    """Make the checks of some rooms, as `grade.check` makes all of them."""
    rooms = {*rooms}
    asked = checks.steps(has_regularization=True)
    seen = {step.id: Observation(step.id) for step in asked}
    wanted = [step for step in asked if step.id.partition(".")[0] in rooms]
    with tempfile.TemporaryDirectory(prefix="lm-kit-mutant-") as copied:
        submission = take(folder, Path(copied))
        settings = {**checks.settings(), "train_steps": TRAIN_STEPS}
        seen |= run(submission, wanted, checks.arrays(), settings, log, box=box())
    return checks.judge(seen, submission.missing)


class Grader:
    """Grades a folder on the embedded corpus, whose exam is read once."""

    def __init__(self, data: Path) -> None:
        numbers, judge = corpus.load("numbers"), referee.load("numbers")
        self.exam = Exam.of(numbers, fixtures.public(numbers, judge, data), judge)

    def __call__(self, folder: Path, log: Path) -> tuple[Check, ...]:
        """Grade a folder with trained weights."""
        shutil.copy(SOLUTION / WEIGHTS, folder)
        return grade(folder, self.exam, log=log, box=box()).checks


def judge(mutant: Mutant, folder: Path, grader: Grader) -> list[Any]:
    """Make a mutant in `folder` and return its checks, failed or not, in a report's order."""
    rooms = SEEN_BY[mutant.file]
    copy(folder / "hand-in", small=rooms == ("trainer",))
    seed(mutant, folder / "hand-in")
    if mutant.graded:
        return list(grader(folder / "hand-in", folder / "log"))
    # A room that comes after the one that is to name the bug cannot name it first.
    until = rooms.index(mutant.check.partition(".")[0]) + 1
    return checked(folder / "hand-in", rooms[:until], folder / "log")


def failed(found: Iterable[Verdict | Check]) -> list[Verdict | Check]:
    """The checks that failed."""
    return [check for check in found if check.passed is False]


def named_right(mutant: Mutant, found: Iterable[Verdict | Check]) -> bool:
    """Whether the first failure is the mutant's own, in the words that it asks for."""
    first = next(iter(failed(found)), None)
    return (
        first is not None
        and first.id == mutant.check
        and mutant.says in f"{first.message}\n{first.hint}"
    )
