"""The kit itself: its tests, its style, its speed, its leavings."""

import argparse
import os
import shutil
import subprocess
import sys

from ..environment import ROOT
from .training import KEEP_MEMORY


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
