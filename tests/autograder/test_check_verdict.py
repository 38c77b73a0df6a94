"""checks/verdict.py: a step that failed is put in words that name the mend."""

from __future__ import annotations

import pytest

from autograder.checks.verdict import NotRun, Problem, examine, failure, group
from autograder.run import Observation


def seen(status: str = "error", step: str = "trainer.batch", **error: str) -> Observation:
    return Observation(step, status, error={"type": "", "message": "", "where": "", **error})


def passes(_: Observation) -> str:
    return "fine"


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            {"type": "ModuleNotFoundError", "message": "No module named 'pandas'"},
            "pandas",
            "do without",
        ),
        ({"type": "SyntaxError", "message": "invalid"}, "SyntaxError", "the line that is named"),
        (
            {"type": "IndentationError", "message": "x"},
            "IndentationError",
            "the line that is named",
        ),
        ({"type": "FileNotFoundError", "message": "/home/me"}, "/home/me", "no fixed paths"),
        ({"type": "PermissionError", "message": "[Errno 1] fork"}, "fork", "no new processes"),
        ({"type": "OSError", "message": "Read-only file system: 'x'"}, "Read-only", "working"),
        ({"type": "Unusable", "message": "a list of <U3"}, "a list", "an array of numbers"),
        ({"type": "SafetensorError", "message": "header"}, "header", "save it again"),
        (
            {
                "type": "RuntimeError",
                "message": "Trying to backward through the graph a second time",
            },
            "a second time",
            "detach",
        ),
        (
            {"type": "AssertionError", "message": "Torch not compiled with CUDA"},
            "CUDA",
            "is_available",
        ),
        (
            {"type": "RuntimeError", "message": "The size of tensor a must match tensor b"},
            "must match",
            "compare their order",
        ),
        (
            {"type": "RuntimeError", "message": "mat1 and mat2 shapes cannot be multiplied (5x3)"},
            "cannot be",
            "print the shapes",
        ),
        (
            {"type": "IndexError", "message": "index out of range in self"},
            "index",
            "vocab_size rows",
        ),
        (
            {"type": "TypeError", "message": "prediction() missing 1 required positional argument"},
            "missing 1",
            "number of parameters",
        ),
        ({"type": "AttributeError", "message": "no class"}, "no class", "spelling"),
        ({"type": "SystemExit", "message": "0"}, "SystemExit: 0", "take exit() and quit() out"),
        ({"type": "KeyError"}, "KeyError", "make check"),
        (
            {"type": "KeyError", "where": "trainer.py:3: x[1]"},
            "at trainer.py:3: x[1]",
            "make check",
        ),
    ],
)
def test_an_exception_is_named_with_its_place_and_a_mend(error, message, hint):
    problem = failure(seen(**error))
    assert message in str(problem)
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("status", "said", "message", "hint"),
    [
        ("timeout", "20 seconds", "stopped after 20 seconds", "never ends"),
        ("crash", "killed by SIGKILL", "killed by SIGKILL", "smaller batches"),
        ("crash", "exit status 0", "ended in the middle: exit status 0", "os._exit()"),
        ("garbage", "over 5 frames", "could not be read: over 5 frames", "descriptors alone"),
    ],
)
def test_a_process_that_failed_is_named_with_a_mend(status, said, message, hint):
    problem = failure(seen(status, message=said))
    assert message in str(problem)
    assert hint in problem.hint


def stub(name: str, part: int, module: str, step: str) -> Problem:
    return failure(
        seen(
            step=step,
            type="NotImplementedError",
            message=f"{name}: see ASSIGNMENT.md, part {part}",
            where=f"{module}.py:37: raise NotImplementedError(…)",
        )
    )


def test_a_stub_names_itself_and_the_part_to_read():
    problem = stub("LanguageModelTrainer.train", 3, "trainer", "trainer.epoch")
    assert "LanguageModelTrainer.train is not written yet (trainer.py, line 37)" in str(problem)
    assert "ASSIGNMENT.md, part 3" in problem.hint


def test_a_class_that_waits_for_another_stub_says_which_to_write_first():
    problem = stub("LanguageModel.__init__", 2, "language_model", "inference.prediction")
    assert "this waits for LanguageModel.__init__" in str(problem)
    assert "write that first (ASSIGNMENT.md, part 2)" in problem.hint
    assert "then this class: ASSIGNMENT.md, part 4" in problem.hint


@pytest.mark.parametrize("where", ["", "trainer.py:3: raise NotImplementedError('later')"])
def test_the_submissions_own_not_implemented_error_is_not_taken_for_a_stub(where):
    problem = failure(seen(type="NotImplementedError", message="later", where=where))
    assert "not written yet: later" in str(problem)


def test_an_examination_passes_fails_or_is_not_made():
    def fails(_):
        raise Problem("what was seen", "what to try")

    def cannot(_):
        raise NotRun("why not")

    ok = Observation("a", "ok", seconds=1.5)
    assert examine("a", "A", ok, passes).passed is True
    assert examine("a", "A", ok, passes).seconds == 1.5
    verdict = examine("a", "A", ok, fails)
    assert (verdict.passed, verdict.message, verdict.hint) == (
        False,
        "what was seen",
        "what to try",
    )
    verdict = examine("a", "A", ok, cannot)
    assert (verdict.passed, verdict.message) == (None, "why not")
    assert examine("a", "A", Observation("a"), passes).passed is None


@pytest.mark.parametrize("status", ["error", "timeout", "crash", "garbage"])
def test_a_step_that_failed_fails_the_first_check_of_its_group_only(status):
    found = group("m", seen(status, message="why"), [("a", "A", passes), ("b", "B", passes)])
    assert [(v.id, v.passed) for v in found] == [("m.a", False), ("m.b", None)]
    assert "see above" in found[1].message
