"""Starts workers as forks of a process that has torch imported, which takes seconds (Linux only).

Covered: that process, and a fork as a child like any other. Not covered: what confines a fork:
`launcher.py` and the tier's own namespaces, as for a new process.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..faults import Fault
from .forkserver import STATUS
from .process import LAUNCHER, Program, environment, python
from .settings import lacking

FORKSERVER = Path(__file__).with_name("forkserver.py")


class Forked:
    """A forked worker. It is killed when this is closed or its owner dies."""

    def __init__(self, stdout: BinaryIO, stderr: BinaryIO, control: socket.socket) -> None:
        self.stdout, self.stderr = stdout, stderr
        self._control = control
        self._status: int | None = None

    def end(self) -> None:
        """Kill it with its process group."""
        with suppress(OSError):  # closed by the other side
            self._control.shutdown(socket.SHUT_WR)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit status, a signal as a negative number.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if self._status is None:
            self._control.settimeout(timeout)
            try:
                answer = self._control.recv(STATUS.size)
            except TimeoutError:
                raise subprocess.TimeoutExpired("a worker", timeout or 0.0) from None
            # No answer where it was shut in and could not even be forked, or was killed above it.
            self._status = STATUS.unpack(answer)[0] if len(answer) == STATUS.size else 1
            self._control.close()
        return self._status


class ForkServer:
    """The process that is forked from; started when first needed, and again if it dies."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    @staticmethod
    def missing() -> str:
        """Return why there can be none here, "" if there can."""
        if sys.platform != "linux":
            return "it needs Linux"
        return "" if hasattr(os, "pidfd_open") else "this Python has no os.pidfd_open"

    def start(self, program: Program, namespace: tuple[int, int] | None = None) -> Forked:
        """Fork a worker and shut it in.

        Args:
            program: what it runs.
            namespace: descriptor of a process whose namespaces it joins first, and which of them.

        Raises:
            Fault: it cannot be forked.
        """
        order = {
            "script": str(program.script),
            "arguments": [str(argument) for argument in program.arguments],
            "folder": str(program.folder),
            "env": program.env,
            "settings": program.settings,
            "flags": namespace[1] if namespace else 0,
        }
        (out, their_out), (log, their_log) = os.pipe(), os.pipe()
        control, theirs = socket.socketpair()
        passed = [their_out, their_log, theirs.fileno(), *([namespace[0]] if namespace else [])]
        try:
            self._send(json.dumps(order).encode(), passed)
        except OSError as error:
            os.close(out)
            os.close(log)
            control.close()
            raise Fault(f"no worker can be forked: {error}") from error
        finally:
            os.close(their_out)
            os.close(their_log)
            theirs.close()
        return Forked(os.fdopen(out, "rb"), os.fdopen(log, "rb"), control)

    def close(self) -> None:
        """End the process; workers that still run are killed by their owners."""
        if self._process is not None:
            atexit.unregister(self.close)
            self._channel.close()
            self._process.wait()
            self._process = None

    def _send(self, order: bytes, descriptors: list[int]) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._open()
            socket.send_fds(self._channel, [order], descriptors)

    def _open(self) -> None:
        # A message is one order, however many are waiting.
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        launcher = "" if lacking() else str(LAUNCHER)
        with theirs:
            self._process = subprocess.Popen(
                python(FORKSERVER, str(theirs.fileno()), launcher),
                env=environment("/tmp", self._threads),
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)
