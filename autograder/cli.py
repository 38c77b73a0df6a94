"""The commands' arguments, and what becomes of their errors.

Exit status: 0 where a grade could be given (a 0 too), 2 for a usage error, 3 for a fault of the
grader's own, 130 after Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .commands import course, hand_ins, training, workshop
from .environment import ROOT
from .faults import Fault, UsageError
from .sandbox import TIERS

# The files of `platforms`, which not every copy of the kit holds.
PLATFORMS = ("gradescope", "autolab", "prairielearn", "github", "classroom50", "junit")
VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")


# What a command needs of the kit, where not all copies hold it: the students' has their own only.
PARTS = {
    **dict.fromkeys(("reference", *training.ROOMS), "solution"),
    **dict.fromkeys(("test", "mutants", "fuzz", "lint", "bench"), "tests"),
    **dict.fromkeys(("fixtures", "release"), "autograder/release.py"),
    "calibrate": "autograder/calibrate.py",
    "referee": "autograder/referee/make.py",
    "platform": "autograder/platforms/base.py",
    **dict.fromkeys(
        ("grade-class", "grade-scheduler", "grade-worker"), "autograder/classroom/command.py"
    ),
}


def main(argv: list[str]) -> int:
    """Run one command; return the exit status."""
    options, rest = parser().parse_known_args(argv)
    if rest and options.command not in ("train", "reference", *training.ROOMS):
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
    top = argparse.ArgumentParser(
        prog="python -m autograder",
        description="Trains, checks and grades homework in neural language modelling.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., Any], text: str, **more: Any) -> argparse.ArgumentParser:
        here = (ROOT / PARTS.get(name, "")).exists()
        shown = {"help": text} if here else {}  # without it, it is not listed
        command = commands.add_parser(name, description=text, **shown, **more)
        command.set_defaults(run=run if here else run_absent)
        return command

    def with_submission(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "submission",
            nargs="?",
            type=Path,
            default=hand_ins.HANDOUT,
            help="folder or hand-in file",
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
    command = add("grade", hand_ins.run_grade, "grade a submission")
    with_submission(command)
    with_corpus(command)
    with_fixtures(command)
    command.add_argument("--out", type=Path, help="folder for results.json and report.html")
    with_sandbox(command)
    command = add(
        "platform",
        hand_ins.run_platform,
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
    command = add(
        "check", hand_ins.run_check, "check the four classes in seconds, without training"
    )
    with_submission(command)
    with_sandbox(command)
    command = add(
        "train",
        training.run_train,
        "train a submission (--help lists the settings)",
        add_help=False,
    )
    with_submission(command)
    add(
        "reference",
        training.run_reference,
        "train the solution; settings as for train",
        add_help=False,
    )
    for name, (_, text) in training.ROOMS.items():
        add(name, training.run_room, text, add_help=False)
    command = add("handin", hand_ins.run_handin, "check and pack handin.tar")
    with_submission(command)
    with_sandbox(command)
    command.add_argument("--out", type=Path, default=Path("handin.tar"))
    command = add("data", training.run_data, "fetch, verify and encode WikiText-2")
    with_corpus(command, "wikitext2")
    command.add_argument("--export", type=Path, help="also write the course's own files here")
    command = add("fixtures", course.run_fixtures, "draw hidden fixtures from the test split")
    with_corpus(command, "wikitext2")
    secret = command.add_mutually_exclusive_group(required=True)
    secret.add_argument("--secret", help="the same secret gives the same fixtures")
    secret.add_argument(
        "--secret-file",
        type=Path,
        help="a file that keeps the secret: made with a new one where there is none yet",
    )
    command.add_argument("--out", type=Path, default=ROOT / "data" / "hidden")
    command = add("grade-class", course.run_grade_class, "grade a folder of hand-ins")
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
    command = add(
        "grade-scheduler", course.run_grade_scheduler, "run a Dask scheduler for grade-worker"
    )
    command.add_argument("--port", type=int, default=8786)
    command.add_argument("--file", type=Path, help="write how to reach it here, for --scheduler")
    command = add(
        "grade-worker", course.run_grade_worker, "lend this machine's cores to a Dask cluster"
    )
    command.add_argument("scheduler", help="tcp://…, tls://… or a scheduler file")
    command.add_argument("--workers", type=int, default=1, help="processes that grade")
    command = add(
        "release", course.run_release, "build what students and platforms get, into dist/"
    )
    with_corpus(command, "wikitext2")
    command.add_argument("--fixtures", type=Path, help="hidden fixtures, for platforms only")
    command.add_argument("--out", type=Path, default=ROOT / "dist")
    command = add(
        "calibrate", course.run_calibrate, "measure what known systems earn on secret draws"
    )
    with_corpus(command, "wikitext2")
    command.add_argument("--seeds", type=int, default=20, help="how many draws")
    command.add_argument("--split", choices=("valid", "test"), default="test")
    command.add_argument("--systems", help="some of them, with commas between")
    command.add_argument("--full", type=Path, help="checkpoint of the full reference")
    command.add_argument("--secret", help="draw the same again (default: the system's randomness)")
    command.add_argument("--out", type=Path, help="file for all figures, JSON")
    command = add(
        "referee", course.run_referee, "make a trained checkpoint the referee of its corpus"
    )
    with_corpus(command, "wikitext2")
    command.add_argument("checkpoint", type=Path)
    command = add("test", workshop.run_test, "run the tests")
    command.add_argument("--all", action="store_true", help="the slow ones too")
    command.add_argument("arguments", nargs="*", help="for pytest")
    add(
        "mutants",
        workshop.run_mutants,
        "try the checks on seeded bugs, and print which name them right",
    )
    command = add("fuzz", workshop.run_fuzz, "try made-up inputs on what reads strangers' files")
    command.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    command.add_argument("--target", help="this one only")
    command.add_argument("--input", type=Path, help="try this saved input on --target again")
    add("lint", workshop.run_lint, "check the style of the source")
    command = add("bench", workshop.run_bench, "measure speed and memory")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--training", action="store_true", help="steps of training instead")
    command.add_argument(
        "--class", action="store_true", dest="classroom", help="the grading of a class instead"
    )
    command.add_argument("--hand-ins", type=int, default=300, help="of that class")
    with_corpus(command, "wikitext2")
    add("clean", workshop.run_clean, "remove what was made: .venv, data, runs, dist")
    return top


def run_absent(options: argparse.Namespace, _: list[str]) -> int:
    """Say that a command is not for this copy of the kit."""
    raise UsageError(
        f"{options.command} is for instructors, and this copy of the kit holds none of it: "
        "`make help` lists what there is"
    )
