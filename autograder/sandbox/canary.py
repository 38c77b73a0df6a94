"""Tries a sandbox before anything is trusted to it: behaviour is probed, not versions.

`intruder.py` runs as a submission would and attacks; what it can do, or the grader sees done, is a
finding. A tier with a finding is not that tier.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import temporary_folder
from .intruder import TRIES
from .process import Job, show

if TYPE_CHECKING:
    from . import Sandbox

INTRUDER = Path(__file__).with_name("intruder.py")
SECONDS = 20.0
COUNT = len(TRIES)


def findings(box: "Sandbox") -> list[str]:
    """Let the intruder loose in a sandbox; return what it could do, in words.

    A sandbox in which nothing can be run at all is a finding too.
    """
    token = secrets.token_hex(16)
    with temporary_folder() as home, baits(home / "bait", token) as (bait, received):
        job = Job(home / "worker.py", home / "inputs", home / "submission", home / "scratch", 1)
        for folder in (job.inputs, job.submission, job.scratch):
            folder.mkdir()
        shutil.copy(INTRUDER, job.worker)
        (job.inputs / "canary.json").write_text(json.dumps(bait))
        try:
            process = box.launch(job)
        except OSError as error:
            return [f"it cannot be started: {error}"]
        try:
            if process.wait(SECONDS) is None:
                return [f"a small program did not end within {SECONDS:.0f} s"]
            os.set_blocking(process.frames.fileno(), False)
            os.set_blocking(process.log.fileno(), False)
            answer, said = process.frames.read() or b"", process.log.read() or b""
        finally:
            process.stop()
            process.frames.close()
            process.log.close()
        found = {
            **dict.fromkeys(_names(answer)),
            **dict.fromkeys(received()),
            **dict.fromkeys(["outlive_the_job"] if _left(str(home)) else []),
        }
    if not answer:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return [f"a small program cannot be run in it: {last[0][:300]}"]
    return [f"a program in it could {name.replace('_', ' ')}" for name in found]


@contextmanager
def baits(folder: Path, token: str) -> Iterator[tuple[dict[str, Any], Callable[[], list[str]]]]:
    """Lay out what a sandbox has to keep from the intruder; give what it is told, and a look."""
    with ExitStack() as opened:
        file, outside = folder / "secret", folder / "outside"
        outside.mkdir(parents=True)
        file.write_text(token)
        show(file, folder)
        outside.chmod(0o777)
        descriptor = os.open(file, os.O_RDONLY)
        opened.callback(os.close, descriptor)
        os.set_inheritable(descriptor, True)
        # Its environment is one that another process could read.
        holder = subprocess.Popen(["sleep", "60"], env={"SECRET": token})
        opened.callback(holder.wait)
        opened.callback(holder.kill)
        tcp = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        udp = opened.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        udp.bind(("127.0.0.1", 0))
        abstract = opened.enter_context(closing(socket.socket(socket.AF_UNIX)))
        abstract.bind("\0" + token)
        abstract.listen()
        for listener in (tcp, udp, abstract):
            listener.setblocking(False)
        told = {
            "token": token,
            "file": str(file),
            "outside": str(outside),
            "grader": os.getpid(),
            "holder": holder.pid,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
        }

        def received() -> list[str]:
            seen = ["write_outside"] if any(outside.iterdir()) else []
            with suppress(BlockingIOError):
                udp.recv(100)
                seen.append("reach_by_udp")
            return seen

        yield told, received


def _names(answer: bytes) -> list[str]:
    try:
        return [str(name) for name in json.loads(answer)]
    except ValueError:
        return []


def _left(marker: str) -> bool:
    """Whether a process of the job is still there; none of them does any harm."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if marker.encode() in path.read_bytes():
                os.kill(int(path.parent.name), 9)
                return True
    return False
