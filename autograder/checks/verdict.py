"""A check's outcome, and the words for what went wrong with running a step."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..run import Observation

PARTS = {
    "data_loader": "part 1",
    "language_model": "part 2",
    "trainer": "part 3",
    "inference": "part 4",
}


MOST = 3000  # characters of a message: a submission's own words may be of any length


@dataclass(frozen=True)
class Verdict:
    """A check before points: `passed` is None where it was not run."""

    id: str
    title: str
    passed: bool | None
    message: str = ""
    hint: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if len(self.message) > MOST:
            object.__setattr__(self, "message", f"{self.message[: MOST - 1]}…")


class Problem(Exception):
    """A check's failure: what was seen and expected, and what to try next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class NotRun(Exception):
    """A check cannot be made; the message says why, and nothing is lost by it."""


Judge = Callable[[Observation], str]


def examine(id: str, title: str, seen: Observation, judge: Judge) -> Verdict:
    """Make one check of one observation.

    Args:
        judge: returns what was seen where all is well; raises Problem or NotRun otherwise. It is
            called for steps that ended normally only.
    """
    if seen.status == "not run":
        return Verdict(id, title, None, "not run: it needs what failed above")
    try:
        if not seen.ok:
            raise failure(seen)
        return Verdict(id, title, True, judge(seen), seconds=seen.seconds)
    except NotRun as reason:
        return Verdict(id, title, None, str(reason), seconds=seen.seconds)
    except Problem as problem:
        return Verdict(id, title, False, str(problem), problem.hint, seen.seconds)


def group(module: str, seen: Observation, checks: list[tuple[str, str, Judge]]) -> list[Verdict]:
    """Make several checks of one step; where the step itself failed, the first one says why."""
    verdicts = []
    for index, (name, title, judge) in enumerate(checks):
        if index and not seen.ok:
            verdicts.append(Verdict(f"{module}.{name}", title, None, "not run: see above"))
        else:
            verdicts.append(examine(f"{module}.{name}", title, seen, judge))
    return verdicts


def told(value: Any) -> str:
    """Return a value that a submission chose as text, short whatever it is."""
    if isinstance(value, str):
        return value if len(value) <= 100 else f"{value[:99]}…"
    return reprlib.repr(value)


def failure(seen: Observation) -> Problem:
    """Explain a step that did not end normally."""
    error, kind = seen.error, seen.error.get("type", "")
    message, where = error.get("message", ""), error.get("where", "")
    if kind == "NotImplementedError":
        return unwritten(seen.step.partition(".")[0], message, where)
    at = f" at {where}" if where else ""
    if seen.status == "timeout":
        return Problem(
            f"it was stopped after {message}: that is far longer than it needs",
            "look for a loop that never ends, or for work that is done again at every step; "
            "a generator over the corpus has to stop at its end",
        )
    if seen.status == "crash":
        return Problem(
            f"the Python process ended in the middle: {message}",
            "a kill usually means that memory ran out: use smaller batches, and torch.no_grad() "
            "in prediction; sys.exit(), os._exit() and quit() must not be called",
        )
    if seen.status == "garbage":
        return Problem(
            f"what came back could not be read: {message}",
            "leave the process's file descriptors alone, and return plain tensors or arrays",
        )
    what = kind or "an exception without a name"
    return Problem(f"{what}: {message}{at}" if message else f"{what}{at}", advice(kind, message))


def unwritten(module: str, message: str, where: str) -> Problem:
    """Say what to write next, for a stub that is still to be filled in."""
    file, line = (*where.split(":"), "", "")[:2]
    name, _, reading = message.partition(": see ")
    place = f"{file}, line {line}" if line else file
    if not reading:  # no stub's words, but the submission's own
        return Problem(f"not written yet: {message} ({place})", "write it next")
    if file == f"{module}.py" or module not in PARTS:
        return Problem(f"{name} is not written yet ({place})", f"write it next: {reading}")
    return Problem(
        f"this waits for {name}, which is not written yet ({place})",
        f"write that first ({reading}); then this class: ASSIGNMENT.md, {PARTS[module]}",
    )


def advice(kind: str, message: str) -> str:
    """Say what to try next for an exception, by its type and the words in it."""
    low = message.lower()
    if kind == "ModuleNotFoundError":
        return (
            "hand the missing file in too, or do without the package: the grader has torch, numpy "
            "and the standard library"
        )
    if kind in ("SyntaxError", "IndentationError", "TabError"):
        return "Python cannot read the file: look at the line that is named and the one before it"
    if kind == "FileNotFoundError":
        return (
            "no file of your machine is there when your work is graded: take data from the "
            "arguments, and read or write no fixed paths when a module is imported"
        )
    if kind == "PermissionError" or "read-only file system" in low:
        return (
            "the grader's sandbox allows no new processes, no network, and writing in the working "
            "folder alone: do without these, or write to a relative path"
        )
    if kind in ("SafetensorError", "UnpicklingError"):
        return "the file of weights is damaged, or of another kind: save it again (checkpoint.save)"
    if kind == "Unusable":
        return "return a tensor or an array of numbers, of the shape that ASSIGNMENT.md gives"
    if "backward through the graph a second time" in low:
        return (
            "the hidden state still holds the last window's graph: detach it after each step "
            "(hidden.detach(), for an LSTM both of its tensors)"
        )
    if "cuda" in low or "nvidia" in low:
        return 'there may be no GPU: use device = "cuda" if torch.cuda.is_available() else "cpu"'
    if "must match" in low or "size mismatch" in low or "shapes cannot be multiplied" in low:
        return "print the shapes on both sides of the line that is named, and compare their order"
    if "index out of range" in low or "out of bounds" in low:
        return (
            "an id is not below the size of a table: nn.Embedding needs vocab_size rows, and no "
            "size may be written into the code as a number"
        )
    if kind == "TypeError" and "argument" in low:
        return "the name, the order or the number of parameters differs from ASSIGNMENT.md's"
    if kind == "AttributeError":
        return "compare the names with the stub's: spelling and capitals count"
    if kind in ("SystemExit", "KeyboardInterrupt"):
        return "the submission stopped the program: take exit() and quit() out"
    return "run `make check` while you work on it: it shows this in seconds"
