"""A course: its fixtures and packages, its class, what its rubric is set from."""

import argparse
import os
import secrets
import subprocess
import sys

from ..environment import ROOT
from ..faults import UsageError
from .hand_ins import examination, existing, given_files


def run_fixtures(options: argparse.Namespace, _: list[str]) -> int:
    """Draw hidden fixtures."""
    from .. import corpus as corpora
    from .. import fixtures, referee

    secret = secret_of(options)
    if secret == fixtures.PUBLIC_SEED:
        raise UsageError(f'"{fixtures.PUBLIC_SEED}" is the one secret that all know: take another')
    corpus = corpora.load(options.corpus)
    judge = referee.load(corpus.name)
    drawn = fixtures.draw(corpus, "test", secret, judge)
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


def secret_of(options: argparse.Namespace) -> str:
    """Return the secret; where the file for it is not there yet, make it with a new one.

    Raises:
        UsageError: there is none, or the file cannot be used.
    """
    path = options.secret_file and options.secret_file.expanduser()
    try:
        if path and not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{secrets.token_hex(16)}\n")
            print(f"a new secret is in {path}: keep it")
        secret = path.read_text().strip() if path else options.secret
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot keep the secret: {error}") from error
    if not secret:
        raise UsageError(
            f"{path} is empty: take it away for a new secret"
            if path
            else "no secret: give SECRET_FILE= a file, which is made if it is not there"
        )
    return secret


def run_release(options: argparse.Namespace, _: list[str]) -> int:
    """Build dist/."""
    from .. import release

    corpus = "wikitext2" if options.corpus == "auto" else options.corpus
    print(release.build(options.out, corpus, options.fixtures))
    return 0


def run_grade_class(options: argparse.Namespace, _: list[str]) -> int:
    """Grade a class."""
    from rich.console import Console

    from ..classroom import RollError, command

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


def run_calibrate(options: argparse.Namespace, _: list[str]) -> int:
    """Measure what the rubric's steps are set from."""
    from .. import calibrate, referee, systems
    from .. import corpus as corpora

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
    from .. import corpus as corpora
    from ..referee import make

    corpus = corpora.load(options.corpus)
    path = make.install(options.checkpoint, corpus)
    print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0
