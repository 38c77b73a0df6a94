"""One hand-in: check it, grade it, pack it, grade it for a platform."""

import argparse
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..environment import ROOT
from ..faults import Fault, UsageError

HANDOUT = ROOT / "handout"
PRACTICE = (
    "PRACTICE on the embedded corpus `numbers`: this is no grade on WikiText-2, because it could "
    "not be had.\n"
)


def run_check(options: argparse.Namespace, _: list[str]) -> int:
    """Print the checks of the four classes."""
    from rich.console import Console

    from .. import report, sandbox
    from ..grade import check

    console = Console(highlight=False)
    source = existing(options.submission)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output.txt"
        with status(console, "trying the sandbox") as on_step:
            box = sandbox.choose(options.sandbox)
            checks = check(source, log=log, given=given_files(source), on_step=on_step, box=box)
    report.show_checks(checks, console)
    return 0


def run_grade(options: argparse.Namespace, _: list[str]) -> int:
    """Grade, print the table, write results.json and report.html."""
    from rich.console import Console

    from .. import report

    source = existing(options.submission)
    console = Console(highlight=False)
    grade = grading(options, console)
    out = options.out or Path("runs/grade") / name_of(source)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be made ({error}): name another with --out") from error
    with log_beside(out / "output.txt") as log:
        result = grade(source, log)
    result.write(out / "results.json")
    report.write(result, out / "report.html")
    report.show(result, console, out / "report.html")
    return 0


def run_platform(options: argparse.Namespace, _: list[str]) -> int:
    """Grade as `grade` does, for a platform: nothing but what it reads goes to standard output."""
    from rich.console import Console

    from ..platforms import base

    return base.run(options, lambda: grading(options, Console(stderr=True, highlight=False)))


def examination(options: argparse.Namespace, console: Any) -> Any:
    """Read the `Exam` that options name.

    Raises:
        Fault: the corpus, the referee or the fixtures cannot be had.
    """
    from .. import corpus as corpora
    from .. import fixtures, referee
    from ..exam import Exam

    hidden = options.fixtures is not None
    if hidden and options.corpus == "auto":
        options.corpus = "wikitext2"
    corpus, substitute = corpora.resolve(options.corpus)
    judge = referee.load(corpus.name)
    if hidden:
        chosen = fixtures.load(options.fixtures)
    else:
        with status(console, "drawing the public fixtures (once)"):
            chosen = fixtures.public(corpus, judge, corpora.data_folder())
    return Exam.of(corpus, chosen, judge, PRACTICE + substitute if substitute else "")


def grading(options: argparse.Namespace, console: Any) -> Callable[[Path, Path], Any]:
    """Read what a grading needs; return what grades a hand-in, logs its output, gives a `Result`.

    Raises:
        Fault: the corpus, the referee or the fixtures cannot be had.
    """
    from .. import sandbox
    from ..grade import grade

    exam = examination(options, console)
    hidden = options.fixtures is not None

    def graded(source: Path, log: Path) -> Any:
        with status(console, "trying the sandbox") as on_step:
            return grade(
                source,
                exam,
                log=log,
                given=given_files(source),
                on_step=on_step,
                box=sandbox.choose(options.sandbox, official=hidden and not options.practice),
            )

    return graded


def given_files(source: Path) -> dict[str, bytes]:
    """Read the files that a hand-in may leave out, by name.

    What a student took out of the handout itself is not put in again.

    Raises:
        Fault: the handout is not whole.
    """
    from ..submission import GIVEN

    if source.resolve() == HANDOUT:
        return {}
    try:
        return {name: (HANDOUT / name).read_bytes() for name in GIVEN}
    except OSError as error:
        raise Fault(f"the handout that comes with the kit is not whole: {error}") from error


def run_handin(options: argparse.Namespace, _: list[str]) -> int:
    """Pack what is handed in, from the list of what a submission is made of."""
    from ..submission import SubmissionError, sorted_members, take

    source = existing(options.submission)
    if not source.is_dir():
        raise UsageError(f"{source} is packed already")
    run_check(options, [])
    with tempfile.TemporaryDirectory() as folder:
        try:
            submission = take(source, Path(folder))
        except SubmissionError as error:
            raise UsageError(f"{error}: {error.hint}") from error
        with sorted_members(source) as listed:
            members = [name for name, _, _ in listed]
        trained = submission.weights("wikitext2") is not None
        receipt = submission.receipt("wikitext2")
    for module in submission.missing:
        print(f"missing: {module}.py (its checks will fail)")
    if not trained:
        print("missing: checkpoint.safetensors (train first: make train); no points without it")
    temporary = options.out.with_name(f".{options.out.name}.{os.getpid()}")
    try:
        with tarfile.open(temporary, "w") as archive:
            for name in members:
                archive.add(source / name, arcname=name, recursive=False)
        os.replace(temporary, options.out)
    finally:
        temporary.unlink(missing_ok=True)
    size = options.out.stat().st_size / 2**20
    print(f"packed {len(members)} files, {size:.1f} MiB, into {options.out}:")
    print("  " + "\n  ".join(members))
    print("The grade will name what was graded by SHA-256 (a receipt):")
    for part, digest in receipt.items():
        print(f"  {part:7} {digest}")
    print(f"To see what it earns: make grade SUBMISSION={options.out}")
    return 0


def existing(path: Path) -> Path:
    """Return a path that exists; a bare name is looked for in the kit's own folder too.

    Raises:
        UsageError: it is in neither.
    """
    for candidate in (path, ROOT / path):
        if candidate.exists():
            return candidate
    raise UsageError(
        f"there is no {path}: give SUBMISSION= a folder, or the .tar, .tar.gz or .zip of a hand-in"
    )


def name_of(source: Path) -> str:
    """Return a folder's or hand-in's name, less its archive ending."""
    name = source.resolve().name
    for ending in (".tar.gz", ".tgz", ".tar", ".zip"):
        name = name.removesuffix(ending)
    return name


@contextmanager
def log_beside(path: Path) -> Iterator[Path]:
    """Give a file of this process's own to write to, and put it in `path`'s place at the end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
    finally:
        if temporary.exists():
            os.replace(temporary, path)


@contextmanager
def status(console: Any, text: str) -> Iterator[Callable[[str], None]]:
    """Show a line while something goes on, on a terminal only; give a function that changes it."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(text) as shown:
        yield lambda step: shown.update(f"{step.replace('.', ': ')} …")
