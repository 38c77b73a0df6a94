"""An ordinary process: a literal environment, and a process group that can be killed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

TIER = "T5"  # practice only


class Process:
    """A started worker. `frames` is what it writes; nothing else of it is ever read."""

    def __init__(self, popen: subprocess.Popen) -> None:
        self._popen = popen
        self.frames: BinaryIO = popen.stdout

    def stop(self) -> int:
        """Kill the process and all that it started; return its exit status."""
        try:
            if os.name == "posix":
                os.killpg(self._popen.pid, 9)
            else:
                self._popen.kill()
        except (ProcessLookupError, PermissionError):
            pass
        return self._popen.wait()

    def wait(self, seconds: float) -> int | None:
        """Wait for the process to end by itself; None if it does not."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def launch(worker: Path, job: Path, scratch: Path, log: BinaryIO, threads: int) -> Process:
    """Start the worker on a job.

    Args:
        worker: `worker.py`.
        job: folder with the inputs.
        scratch: working and home folder of the process, the only one it is meant to write to.
        log: file that takes everything the submission prints.
        threads: threads that numerical libraries may use.
    """
    # Literal, so that no secret of the grader's environment goes along.
    environment = {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin while they wait take ten times as long where cores are shared.
        "OMP_WAIT_POLICY": "PASSIVE",
        "MPLBACKEND": "agg",
    }
    for name in ("SYSTEMROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"):
        if name in os.environ:
            environment[name] = os.environ[name]
    popen = subprocess.Popen(
        [sys.executable, "-I", "-B", str(worker), str(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=scratch,
        env=environment,
        close_fds=True,
        start_new_session=True,
    )
    return Process(popen)
