"""What every tier shares: the job, the started process, the environment that it gets.

Covered: literal environments, descriptors, the process group. Not covered: keeping the process
away from anything (`bubblewrap.py`, `confined.py`), starting it by fork (`warm.py`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from .warm import ForkServer

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Job:
    """What a process is started for.

    `worker` is the script; it is run as `python -I -B worker inputs submission`, and may write in
    `scratch`, its working folder, alone. `threads` are for numerical libraries.
    """

    worker: Path
    inputs: Path
    submission: Path
    scratch: Path
    threads: int


@dataclass(frozen=True)
class Limits:
    """Bounds on one process, in bytes unless said otherwise.

    `memory` comes on top of the libraries that are mapped. As no process can start another, bounds
    on one are bounds on all, and a control group would add nothing.
    """

    memory: int = 4 * 2**30
    file: int = 256 * 2**20
    scratch: int = 512 * 2**20
    cpu_seconds: int = 1800
    descriptors: int = 256
    threads: int = 512


LIMITS = Limits()
PIPE = 2**20  # bytes


@dataclass(frozen=True)
class Program:
    """What runs in a sandbox: `python script arguments…` in `folder`, with a literal environment.

    `settings` are the launcher's, which confines the process first; None where nothing does.
    """

    script: Path | str
    arguments: tuple[Path | str, ...]
    folder: Path | str
    env: dict[str, str]
    settings: dict[str, Any] | None = None

    def command(self) -> list[str]:
        """Return the command that runs it, by way of the launcher if it is to be confined."""
        command = python(self.script, *self.arguments)
        if self.settings is None:
            return command
        return [*python(LAUNCHER, json.dumps(self.settings)), *command]


class Child(Protocol):
    """A process that leads a session of its own, however it was started."""

    stdout: BinaryIO
    stderr: BinaryIO

    def end(self) -> None:
        """Kill it with its process group; no error where it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit status, as `subprocess.Popen` does."""


class Started(subprocess.Popen):
    """A child that was started as a new program."""

    def end(self) -> None:
        """Kill it with its process group."""
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.pid, 9)
            else:
                self.kill()


class Process:
    """A started worker: `frames` is what it answers, `log` what it prints; no more of it is read.

    A tier that has more to kill or to clear away than a process group derives its own.
    """

    def __init__(self, child: Child) -> None:
        self._child = child
        self.frames: BinaryIO = child.stdout
        self.log: BinaryIO = child.stderr
        widen(self.frames)

    def stop(self) -> None:
        """Kill the process and all that it started, and wait until they are gone."""
        self._child.end()
        self._child.wait()

    def wait(self, seconds: float) -> int | None:
        """Wait for the process to end by itself; its exit status, None if it does not."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def begin(program: Program, forks: "ForkServer | None" = None) -> Child:
    """Start a program: as a fork of a warm process where there is one, else as a new process."""
    if forks is not None:
        return forks.start(program)
    return start(program.command(), program.env, cwd=program.folder)


def show(*paths: Path) -> None:
    """Let any user read files and folders, whatever the grader's umask was."""
    for path in paths:
        if not path.is_dir():
            path.chmod(0o644)
            continue
        for base, _, files in os.walk(path):
            os.chmod(base, 0o755)
            for name in files:
                os.chmod(os.path.join(base, name), 0o644)


def environment(scratch: Path | str, threads: int) -> dict[str, str]:
    """Return a submission's environment: literal, so that no secret of the grader's is in it."""
    return {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "USER": "student",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        # NumPy's would be there as soon as it is imported: too early for a process that forks.
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that spin while they wait take ten times as long where cores are shared.
        "OMP_WAIT_POLICY": "PASSIVE",
        "MPLBACKEND": "agg",
    }


def python(script: Path | str, *arguments: Path | str) -> list[str]:
    """Return the command that runs a script with nothing of the user's or the folder's imported."""
    return [sys.executable, "-I", "-B", str(script), *map(str, arguments)]


def widen(stream: BinaryIO) -> None:
    """Let a pipe hold more, where that can be: scores of a whole vocabulary go through it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError, AttributeError):  # a user's pipes hold too much already
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE)


def start(command: Sequence[str], env: dict[str, str], **more: Any) -> Started:
    """Start a command in a session of its own, whose only open descriptors are the two pipes."""
    return Started(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        close_fds=True,
        start_new_session=True,
        **more,
    )
