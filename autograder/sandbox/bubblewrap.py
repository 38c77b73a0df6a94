"""T1 and T2, on Linux: bubblewrap's namespaces around `launcher.py`.

The process sees a file system of the interpreter, the inputs and the submission, all read-only, a
/tmp of its own in memory, its own processes, and no network. T1 is for root, which also drops to a
user that no one else has; T2 for an ordinary user where user namespaces are allowed. Never a user
namespace for root: its root would be the real one (security.md, 2).
"""

import contextlib
import json
import os
import select
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ..faults import Fault
from .process import (
    LAUNCHER,
    LIMITS,
    Child,
    Job,
    Process,
    Program,
    Started,
    environment,
    python,
    show,
    start,
)
from .settings import lacking, launcher_settings, prefixes
from .users import User

if TYPE_CHECKING:
    from .warm import ForkServer

GONE_SECONDS = 10.0
INSTALL = (
    "install it: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL), "
    "pacman -S bubblewrap (Arch)"
)
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
ETC = tuple(
    map(
        Path, ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/sys/devices/system/cpu")
    )
)

# Keeps namespaces there for a fork to join, and says when they are ready.
PLACEHOLDER = ("/bin/sh", "-c", "echo; exec sleep 2147483647")
FLAGS = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}  # sched.h


class Bubblewrap:
    """Starts workers in namespaces of their own."""

    official = True

    def __init__(self, root: bool) -> None:
        self.root = root
        self.tier = "T1" if root else "T2"
        self.about = "bubblewrap, a user of its own" if root else "bubblewrap, a user namespace"

    def missing(self) -> str:
        """Return what this tier lacks here, "" if nothing that can be told without trying."""
        if problem := lacking():
            return problem
        if self.root != (os.geteuid() == 0):
            return "it is for root" if self.root else "it is for an ordinary user, not for root"
        if shutil.which("bwrap") is None:
            return f"there is no bwrap: {INSTALL}"
        return ""

    def launch(self, job: Job, forks: "ForkServer | None" = None) -> Process:
        """Start the worker on a job; `job.scratch` stays empty, for it writes in memory.

        A fork is no program that bubblewrap could start: it joins the namespaces of a placeholder.
        """
        show(job.worker, job.inputs, job.submission)
        user = User.take() if self.root else None
        settings = launcher_settings(job, user.uid if user else None)
        env = environment("/tmp", job.threads)
        program = Program("/worker.py", ("/inputs", "/submission"), "/tmp", env, settings)
        confined = [
            *python("/launcher.py", json.dumps(settings)),
            *python(program.script, *program.arguments),
        ]
        told, tell = os.pipe()
        try:
            command = [*namespaces(self.root), *mounts(job), "--info-fd", str(tell), "--"]
            command += confined if forks is None else PLACEHOLDER
            bwrap = start(command, env, pass_fds=(tell,))
        except BaseException:
            os.close(told)
            if user:
                user.release()
            raise
        finally:
            os.close(tell)
        process = Namespace(bwrap, told, user)
        if forks is not None:
            process.join(forks, program)
        return process


class Namespace(Process):
    """A worker in namespaces, which end with the first process in them."""

    def __init__(self, bwrap: Started, told: int, user: User | None) -> None:
        super().__init__(bwrap)
        self._bwrap, self._user = bwrap, user
        with os.fdopen(told, "rb") as file:
            about = file.read()  # "" where bwrap failed; what it says is in the log
        self._about = json.loads(about) if about else {}
        self._init = None
        if about:
            with contextlib.suppress(ProcessLookupError):
                self._init = os.pidfd_open(self._about["child-pid"])

    def join(self, forks: "ForkServer", program: Program) -> None:
        """Start a fork in the namespaces, in place of what bwrap was to start."""
        # The line comes when all is mounted.
        if self._init is None or not self._bwrap.stdout.readline():
            return  # as bwrap says in the log, which the caller reads
        flags = sum(flag for name, flag in FLAGS.items() if f"{name}-namespace" in self._about)
        if self._user is None:
            flags |= FLAGS["user"]
        try:
            self._child: Child = forks.start(program, (self._init, flags))
        except BaseException:
            self.stop()
            raise
        self.frames.close()
        self.log.close()
        super().__init__(self._child)

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; bwrap tells a signal as 128 more than its number."""
        status = super().wait(seconds)
        return 128 - status if status is not None and status > 128 else status

    def stop(self) -> None:
        """Kill bwrap and the namespace's first process, and wait for the namespace's end."""
        self._bwrap.end()
        self._bwrap.wait()
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            gone, _, _ = select.select([self._init], [], [], GONE_SECONDS)
            os.close(self._init)
            self._init = None
            if not gone:
                raise Fault("a sandbox could not be ended")
        super().stop()
        if self._user is not None:
            self._user.kill()
            self._user.release()
            self._user = None


def namespaces(root: bool) -> list[str]:
    """Return bwrap's options for what is not shared with the process."""
    if root:
        # The launcher drops these two with the user.
        rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        rights = ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    return [
        str(shutil.which("bwrap")),
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent", "--new-session"),
        *rights,
    ]


def mounts(job: Job) -> list[str]:
    """Return bwrap's options for the file system that the process sees."""
    options = ["--ro-bind", "/usr", "/usr"]
    # Before the interpreter, which may lie below it.
    options += ["--perms", "1777", "--size", str(LIMITS.scratch), "--tmpfs", "/tmp"]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), name]
        elif path.exists():
            options += ["--ro-bind", name, name]
    for path in [*filter(Path.exists, ETC), *prefixes()]:
        for parent in reversed(path.parents[:-1]):  # else these would be for root alone
            options += ["--dir", str(parent)]
        options += ["--ro-bind", str(path), str(path)]
    half = str(LIMITS.scratch // 2)
    return [
        *options,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", half, "--tmpfs", "/dev/shm"),
        *("--ro-bind", str(LAUNCHER), "/launcher.py", "--ro-bind", str(job.worker), "/worker.py"),
        *("--ro-bind", str(job.inputs), "/inputs"),
        *("--ro-bind", str(job.submission), "/submission"),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"),
    ]
