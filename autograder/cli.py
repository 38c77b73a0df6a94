"""The commands: reads their arguments, calls the rooms, prints what came of it.

Exit status: 0 where a grade could be given (a 0 too), 2 for a usage error, 3 for a fault of the
grader's own, 130 after Ctrl-C.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .faults import Fault
from .sandbox import TIERS

# The files of `platforms`, which not every copy of the kit holds.
PLATFORMS = ("gradescope", "autolab", "prairielearn", "github", "classroom50", "junit")
VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")

ROOT = Path(__file__).resolve().parent.parent
HANDOUT = ROOT / "handout"
PRACTICE = (
    "PRACTICE on the embedded corpus `numbers`: this is no grade on WikiText-2, because it could "
    "not be had.\n"
)


# Commands that are rooms of the solution, with arguments of their own.
ROOMS = {
    "evaluate": (["evaluation"], "perplexity of the reference, with cache or dynamic evaluation"),
    "ladder": (["ladder"], "train models of growing power on the embedded corpus"),
    "transfer": (["transfer"], "transfer the reference to a classification task"),
    "study": (["study"], "train the reference with each technique off, one at a time"),
    "attention": (["evaluation.attention"], "draw what a Transformer's heads look at"),
    "find-lr": (["optim", "find-lr"], "find a learning rate for the reference"),
    "schedules": (["optim", "schedules"], "draw the learning-rate schedules"),
}


# What a command needs of the kit, where not all copies hold it: the students' has their own only.
PARTS = {
    **dict.fromkeys(("reference", *ROOMS), "solution"),
    **dict.fromkeys(("test", "mutants", "fuzz", "lint", "bench"), "tests"),
    **dict.fromkeys(("fixtures", "release"), "autograder/release.py"),
    "calibrate": "autograder/calibrate.py",
    "referee": "autograder/referee/make.py",
    "platform": "autograder/platforms/base.py",
    **dict.fromkeys(
        ("grade-class", "grade-scheduler", "grade-worker"), "autograder/classroom/command.py"
    ),
}


# A step takes and frees tensors of many MiB. glibc would hand each back to the system and have its
# pages cleared anew, a tenth of a step's time; so told, it keeps them. Others ignore this.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


def main(argv: list[str]) -> int:
    """Run one command; return the exit status."""
    options, rest = parser().parse_known_args(argv)
    if rest and options.command not in ("train", "reference", *ROOMS):
        parser().error(f"unknown arguments: {' '.join(rest)}")
    try:
        return options.run(options, rest) or 0
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Fault as error:
        print(f"no grade: the grader's own fault, not the submission's.\n{error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Build the argument parser: one subcommand a command of the Makefile."""
    top = argparse.ArgumentParser(prog="python -m autograder", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., Any], text: str, **more: Any) -> argparse.ArgumentParser:
        here = (ROOT / PARTS.get(name, "")).exists()
        shown = {"help": text} if here else {}  # without it, it is not listed
        command = commands.add_parser(name, description=text, **shown, **more)
        command.set_defaults(run=run if here else run_absent)
        return command

    def with_submission(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "submission", nargs="?", type=Path, default=HANDOUT, help="folder or hand-in file"
        )

    def with_corpus(command: argparse.ArgumentParser, default: str = "auto") -> None:
        command.add_argument("--corpus", choices=("auto", "wikitext2", "numbers"), default=default)

    def with_fixtures(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--fixtures", type=Path, help="hidden fixtures (default: the public ones)"
        )
        command.add_argument(
            "--practice",
            action="store_true",
            help="grade on hidden fixtures in whatever sandbox there is, not officially",
        )

    def with_sandbox(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--sandbox",
            choices=("auto", *TIERS),
            default="auto",
            help="where the submission is run: the best that holds here, or one of "
            "autograder/sandbox/README.md",
        )

    command = add("setup", lambda *_: 0, "set up .venv with the packages of constraints.txt")
    command.add_argument("extra", nargs="?", help="also those of this extra of pyproject.toml")
    command = add("grade", run_grade, "grade a submission")
    with_submission(command)
    with_corpus(command)
    with_fixtures(command)
    command.add_argument("--out", type=Path, help="folder for results.json and report.html")
    with_sandbox(command)
    command = add(
        "platform",
        run_platform,
        "grade a hand-in where a platform puts it, and write what the platform reads",
    )
    command.add_argument("name", choices=PLATFORMS)
    command.add_argument(
        "submission", nargs="?", type=Path, help="hand-in (default: where the platform puts it)"
    )
    with_corpus(command, "wikitext2")
    with_fixtures(command)
    command.add_argument("--out", type=Path, help="file to write (default: the platform's)")
    command.add_argument(
        "--visibility",
        choices=VISIBILITIES,
        help="gradescope: when students see single checks. While one is not to be seen, Gradescope "
        "hides the total from them too",
    )
    with_sandbox(command)
    command = add("check", run_check, "check the four classes in seconds, without training")
    with_submission(command)
    with_sandbox(command)
    command = add(
        "train", run_train, "train a submission (--help lists the settings)", add_help=False
    )
    with_submission(command)
    add("reference", run_reference, "train the solution; settings as for train", add_help=False)
    for name, (_, text) in ROOMS.items():
        add(name, run_room, text, add_help=False)
    command = add("handin", run_handin, "check and pack handin.tar")
    with_submission(command)
    with_sandbox(command)
    command.add_argument("--out", type=Path, default=Path("handin.tar"))
    command = add("data", run_data, "fetch, verify and encode WikiText-2")
    with_corpus(command, "wikitext2")
    command.add_argument("--export", type=Path, help="also write the course's own files here")
    command = add("fixtures", run_fixtures, "draw hidden fixtures from the test split")
    with_corpus(command, "wikitext2")
    command.add_argument("--secret", required=True, help="the same secret gives the same fixtures")
    command.add_argument("--out", type=Path, default=ROOT / "data" / "hidden")
    command = add("grade-class", run_grade_class, "grade a folder of hand-ins")
    command.add_argument("submissions", type=Path, help="an export of a platform, or any folder")
    with_corpus(command)
    with_sandbox(command)
    command.add_argument("--fixtures", type=Path, help="hidden fixtures (default: the public ones)")
    command.add_argument(
        "--practice", action="store_true", help="as with grade: not officially, in any sandbox"
    )
    command.add_argument("--out", type=Path, help="folder for results (default: runs/class/NAME)")
    command.add_argument(
        "--workers",
        type=int,
        help="processes that grade (default: the cores of this machine; 0: this process itself)",
    )
    command.add_argument(
        "--scheduler", help="an existing Dask cluster: tcp://…, tls://… or its scheduler file"
    )
    command.add_argument("--regrade", action="store_true", help="grade again what has a grade")
    command.add_argument("--only", help="keys, names, ids or addresses, with commas between; or *")
    command.add_argument("--diff", type=Path, help="say whose mark is another than in this folder")
    command.add_argument("--title", default="Language modelling", help="what the class page says")
    command.add_argument("--no-names", action="store_true", help="a page to be shown to the class")
    command = add("grade-scheduler", run_grade_scheduler, "run a Dask scheduler for grade-worker")
    command.add_argument("--port", type=int, default=8786)
    command.add_argument("--file", type=Path, help="write how to reach it here, for --scheduler")
    command = add("grade-worker", run_grade_worker, "lend this machine's cores to a Dask cluster")
    command.add_argument("scheduler", help="tcp://…, tls://… or a scheduler file")
    command.add_argument("--workers", type=int, default=1, help="processes that grade")
    command = add("release", run_release, "build what students and platforms get, into dist/")
    with_corpus(command, "wikitext2")
    command.add_argument("--fixtures", type=Path, help="hidden fixtures, for platforms only")
    command.add_argument("--out", type=Path, default=ROOT / "dist")
    command = add("calibrate", run_calibrate, "measure what known systems earn on secret draws")
    with_corpus(command, "wikitext2")
    command.add_argument("--seeds", type=int, default=20, help="how many draws")
    command.add_argument("--split", choices=("valid", "test"), default="test")
    command.add_argument("--systems", help="some of them, with commas between")
    command.add_argument("--full", type=Path, help="checkpoint of the full reference")
    command.add_argument("--secret", help="draw the same again (default: the system's randomness)")
    command.add_argument("--out", type=Path, help="file for all figures, JSON")
    command = add("referee", run_referee, "make a trained checkpoint the referee of its corpus")
    with_corpus(command, "wikitext2")
    command.add_argument("checkpoint", type=Path)
    command = add("test", run_test, "run the tests")
    command.add_argument("--all", action="store_true", help="the slow ones too")
    command.add_argument("arguments", nargs="*", help="for pytest")
    add("mutants", run_mutants, "try the checks on seeded bugs, and print which name them right")
    command = add("fuzz", run_fuzz, "try made-up inputs on what reads strangers' files")
    command.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    command.add_argument("--target", help="this one only")
    command.add_argument("--input", type=Path, help="try this saved input on --target again")
    add("lint", run_lint, "check the style of the source")
    command = add("bench", run_bench, "measure speed and memory")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--training", action="store_true", help="steps of training instead")
    command.add_argument(
        "--class", action="store_true", dest="classroom", help="the grading of a class instead"
    )
    command.add_argument("--hand-ins", type=int, default=300, help="of that class")
    with_corpus(command, "wikitext2")
    add("clean", run_clean, "remove what was made: .venv, data, runs, dist")
    return top


def run_grade(options: argparse.Namespace, _: list[str]) -> int:
    """Grade, print the table, write results.json and report.html."""
    from rich.console import Console

    from . import report

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

    from .platforms import base

    return base.run(options, lambda: grading(options, Console(stderr=True, highlight=False)))


def run_grade_class(options: argparse.Namespace, _: list[str]) -> int:
    """Grade a class."""
    from rich.console import Console

    from .classroom import RollError, command

    exam = examination(options, Console(highlight=False))
    try:
        return command.run(options, exam, given_files(options.submissions))
    except RollError as error:
        raise UsageError(str(error)) from error


def run_grade_scheduler(options: argparse.Namespace, _: list[str]) -> int:
    """Run Dask's own scheduler where it can import the kit; its pages are for this machine only."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(options.port)]
    command += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    if options.file:
        command += ["--scheduler-file", str(options.file)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


def run_grade_worker(options: argparse.Namespace, _: list[str]) -> int:
    """Run Dask's own worker in the kit's environment."""
    place = ["--scheduler-file"] if options.scheduler.endswith(".json") else []
    command = [sys.executable, "-m", "distributed.cli.dask_worker", *place, options.scheduler]
    command += ["--nworkers", str(options.workers), "--nthreads", "1", "--memory-limit", "0"]
    command += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


def examination(options: argparse.Namespace, console: Any) -> Any:
    """Read the `Exam` that options name.

    Raises:
        Fault: the corpus, the referee or the fixtures cannot be had.
    """
    from . import corpus as corpora
    from . import fixtures, referee
    from .exam import Exam

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
    from . import sandbox
    from .grade import grade

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
    from .submission import GIVEN

    if source.resolve() == HANDOUT:
        return {}
    try:
        return {name: (HANDOUT / name).read_bytes() for name in GIVEN}
    except OSError as error:
        raise Fault(f"the handout that comes with the kit is not whole: {error}") from error


def run_absent(options: argparse.Namespace, _: list[str]) -> int:
    """Say that a command is not for this copy of the kit."""
    raise UsageError(
        f"{options.command} is for instructors, and this copy of the kit holds none of it: "
        "`make help` lists what there is"
    )


def run_check(options: argparse.Namespace, _: list[str]) -> int:
    """Print the checks of the four classes."""
    from rich.console import Console

    from . import report, sandbox
    from .grade import check

    console = Console(highlight=False)
    source = existing(options.submission)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output.txt"
        with status(console, "trying the sandbox") as on_step:
            box = sandbox.choose(options.sandbox)
            checks = check(source, log=log, given=given_files(source), on_step=on_step, box=box)
    report.show_checks(checks, console)
    return 0


def run_train(options: argparse.Namespace, rest: list[str]) -> int:
    """Train in a process of its own, whose working folder is the kit's."""
    source = existing(options.submission)
    command = [sys.executable, str(HANDOUT / "train.py"), "--submission", str(source.resolve())]
    try:
        return subprocess.run([*command, *rest], env=KEEP_MEMORY | os.environ).returncode
    except KeyboardInterrupt:
        return 130  # the training has said what it has to say


def run_reference(options: argparse.Namespace, rest: list[str]) -> int:
    """Train the solution, with the paper's settings where there is a GPU for them."""
    import torch

    options.submission = ROOT / "solution"
    if "--preset" not in rest and torch.cuda.is_available():
        rest = [*rest, "--preset", "awd-lstm"]
    return run_train(options, rest)


def run_room(options: argparse.Namespace, rest: list[str]) -> int:
    """Run a room of the solution as a program, which finds its neighbours as a submission does."""
    (module, *arguments), _ = ROOMS[options.command]
    paths = [str(ROOT / "solution"), str(HANDOUT), str(ROOT)]
    environment = KEEP_MEMORY | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, *arguments, *rest]
    try:
        return subprocess.run(command, env=environment).returncode
    except KeyboardInterrupt:
        return 130


def run_handin(options: argparse.Namespace, _: list[str]) -> int:
    """Pack what is handed in, from the list of what a submission is made of."""
    from .submission import SubmissionError, sorted_members, take

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


def run_data(options: argparse.Namespace, _: list[str]) -> int:
    """Get a corpus ready and say what it is."""
    from . import corpus as corpora

    corpus, substitute = corpora.resolve(options.corpus)
    if substitute:
        print(substitute, file=sys.stderr)
    print(f"{corpus.name}: {len(corpus.vocab):,} words in the vocabulary")
    for name in corpora.SPLITS:
        split = corpus.split(name)
        print(f"  {name:5} {len(split.offsets) - 1:4} articles {len(split):10,} tokens")
    if options.export:
        corpora.export(corpus, options.export)
        print(f"the course's own files are in {options.export}")
    return 0


def run_fixtures(options: argparse.Namespace, _: list[str]) -> int:
    """Draw hidden fixtures."""
    from . import corpus as corpora
    from . import fixtures, referee

    if options.secret == fixtures.PUBLIC_SEED:
        raise UsageError(f'"{fixtures.PUBLIC_SEED}" is the one secret that all know: take another')
    corpus = corpora.load(options.corpus)
    judge = referee.load(corpus.name)
    drawn = fixtures.draw(corpus, "test", options.secret, judge)
    options.out.mkdir(parents=True, exist_ok=True)
    options.out.chmod(0o700)
    fixtures.save(drawn, options.out)
    print(
        f"{len(drawn.prediction)} prefixes and {len(drawn.generation)} prompts of the test split "
        f"are in {options.out}\n"
        f"referee's NLL {drawn.referee_nll:.3f}, of the whole split {judge.measured['test']:.3f}\n"
        f"digest {drawn.digest}\n"
        f"Grade with: python -m autograder grade SUBMISSION --fixtures {options.out}\n"
        "Give neither the secret nor the folder away; the same secret draws the same again."
    )
    return 0


def run_release(options: argparse.Namespace, _: list[str]) -> int:
    """Build dist/."""
    from . import release

    corpus = "wikitext2" if options.corpus == "auto" else options.corpus
    print(release.build(options.out, corpus, options.fixtures))
    return 0


def run_calibrate(options: argparse.Namespace, _: list[str]) -> int:
    """Measure what the rubric's steps are set from."""
    from . import calibrate, referee, systems
    from . import corpus as corpora

    wanted = tuple(options.systems.split(",")) if options.systems else systems.NAMES
    unknown = set(wanted) - set(systems.NAMES)
    if unknown or options.seeds < 1:
        raise UsageError(
            f"no system {', '.join(sorted(unknown))}; there are {', '.join(systems.NAMES)}"
            if unknown
            else f"--seeds {options.seeds}: at least one is needed"
        )
    full = existing(options.full) if options.full else None
    corpus, substitute = corpora.resolve(options.corpus)
    if substitute:
        print(substitute, file=sys.stderr)
    calibrate.calibrate(
        corpus,
        referee.load(corpus.name),
        split=options.split,
        draws=options.seeds,
        secret=options.secret,
        wanted=wanted,
        full=full,
        out=options.out,
        say=lambda text: print(text, flush=True),
    )
    return 0


def run_referee(options: argparse.Namespace, _: list[str]) -> int:
    """Measure a checkpoint on both graded splits and put it in the referee's place."""
    from . import corpus as corpora
    from .referee import make

    corpus = corpora.load(options.corpus)
    path = make.install(options.checkpoint, corpus)
    print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


def run_test(options: argparse.Namespace, _: list[str]) -> int:
    """Run pytest."""
    every = ["-m", ""] if options.all else []
    command = [sys.executable, "-m", "pytest", *every, *options.arguments]
    return subprocess.run(command, cwd=ROOT).returncode


def run_mutants(_: argparse.Namespace, __: list[str]) -> int:
    """Run the seeded bugs."""
    return subprocess.run([sys.executable, "-m", "tests.mutants"], cwd=ROOT).returncode


def run_fuzz(options: argparse.Namespace, _: list[str]) -> int:
    """Run the suite's properties on fresh inputs."""
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(options.seconds)]
    if options.target:
        command += ["--target", options.target]
    if options.input:
        command += ["--input", str(options.input.resolve())]
    return subprocess.run(command, cwd=ROOT).returncode


def run_lint(_: argparse.Namespace, __: list[str]) -> int:
    """Run ruff, twice: rules and layout."""
    ruff = [sys.executable, "-m", "ruff"]
    rules = subprocess.run([*ruff, "check", "."], cwd=ROOT).returncode
    layout = subprocess.run([*ruff, "format", "--check", "."], cwd=ROOT).returncode
    return 1 if rules or layout else 0


def run_bench(options: argparse.Namespace, _: list[str]) -> int:
    """Run the benchmarks."""
    if options.classroom:
        command = [sys.executable, "-m", "tests.bench.classroom", "--corpus", options.corpus]
        return subprocess.run([*command, "--hand-ins", str(options.hand_ins)], cwd=ROOT).returncode
    module = "tests.bench.training" if options.training else "tests.bench"
    command = [sys.executable, "-m", module, "--rounds", str(options.rounds)]
    environment = KEEP_MEMORY | os.environ if options.training else None
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def run_clean(_: argparse.Namespace, __: list[str]) -> int:
    """Remove what git ignores by name."""
    for name in (".venv", ".venv.lock", "data", "runs", "dist", "handin.tar"):
        path = ROOT / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
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
