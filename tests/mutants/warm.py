"""Workers for tests alone: forks of a process that has torch imported (`forks.py`).

Importing torch takes longer than most checks. It keeps a submission from nothing, and runs one
worker at a time.
"""

import atexit
import json
import os
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import BinaryIO

from autograder import sandbox
from autograder.sandbox import Job, Process
from autograder.sandbox.process import environment, python
from tests.mutants.forks import NUMBER

FORKS = Path(__file__).with_name("forks.py")


class Child:
    """A forked worker, with what the kit uses of a `subprocess.Popen`."""

    def __init__(self, channel: socket.socket, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self.channel, self.stdout, self.stderr = channel, stdout, stderr
        (self.pid,) = NUMBER.unpack(channel.recv(NUMBER.size))
        self.status: int | None = None

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the worker to end; return its exit status."""
        if self.status is None:
            self.channel.settimeout(seconds)
            try:
                (status,) = NUMBER.unpack(self.channel.recv(NUMBER.size))
            except TimeoutError:
                raise subprocess.TimeoutExpired("a worker", seconds or 0) from None
            self.status = os.waitstatus_to_exitcode(status)
        return self.status


class Warm:
    """Starts workers by fork. Where there is no fork, use the kit's own plain process."""

    tier = "T5"
    official = False
    about = "a fork of a process of the tests'"

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.server = subprocess.Popen(
                python(FORKS, str(theirs.fileno())),
                env=environment("/", threads=1),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def missing(self) -> str:
        """Return what is lacking here: nothing."""
        return ""

    def launch(self, job: Job) -> Process:
        """Start a worker."""
        order = {
            "arguments": [str(path) for path in (job.worker, job.inputs, job.submission)],
            "folder": str(job.scratch),
            "environment": environment(job.scratch, job.threads),
        }
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        self.channel.settimeout(None)
        socket.send_fds(self.channel, [json.dumps(order).encode()], [their_out, their_err])
        os.close(their_out)
        os.close(their_err)
        return Process(Child(self.channel, os.fdopen(out, "rb"), os.fdopen(err, "rb")))

    def close(self) -> None:
        """End the process that is forked from."""
        self.channel.close()
        self.server.wait()


@cache
def box() -> sandbox.Chosen:
    """Return the one that all tests share; a plain process where there is no fork."""
    return sandbox.Chosen(Warm(), 0, {}) if hasattr(os, "fork") else sandbox.practice()
