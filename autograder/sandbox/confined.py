"""T3 and T4, on Linux without namespaces: Landlock and seccomp around `launcher.py`.

T3 is for root, as in the containers of hosted platforms, where bubblewrap cannot work: each job
gets a user of its own, which is killed with all it runs. T4 is for an ordinary user, whom the
process stays: enough for practice, not where targets lie within that user's reach.

Files that only root may read stay unread twice: by their mode and by Landlock. What namespaces
would hide and this cannot: that a file exists, its size, and which processes run.
"""

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import OWN
from .process import LIMITS, Child, Job, Process, Program, begin, environment, show
from .settings import lacking, launcher_settings, prefixes
from .users import User

if TYPE_CHECKING:
    from .warm import ForkServer

READABLE = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/sys/devices/system/cpu"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys/vm"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
)
WATCH_SECONDS = 0.2
MOST_FILES = 10_000
DEEPEST = 30  # what is deeper than a path is long could not be seen


class Confined:
    """Starts workers that may open nothing but what they are shown."""

    def __init__(self, root: bool) -> None:
        self.root = root
        self.official = root
        self.tier = "T3" if root else "T4"
        self.about = "Landlock and a user of its own" if root else "Landlock, the grader's user"

    def missing(self) -> str:
        """Return what this tier lacks here, "" if nothing that can be told without trying."""
        if problem := lacking():
            return problem
        if self.root != (os.geteuid() == 0):
            return "it is for root" if self.root else "it is for an ordinary user, not for root"
        import landlockpy

        if landlockpy.abi_version() < 1:
            return "this kernel has no Landlock (Linux 5.13 or newer, with landlock in lsm=)"
        shut = next((path for path in prefixes() if self.root and not _open_to_all(path)), None)
        if shut:
            return (
                f"no other user can run the interpreter in {shut}, because a folder above it is "
                "private: use one elsewhere, say LMKIT_VENV=/opt/lm-kit and PYTHON=/usr/bin/python3"
            )
        return ""

    def launch(self, job: Job, forks: "ForkServer | None" = None) -> Process:
        """Start the worker on a job."""
        user = User.take() if self.root else None
        try:
            if user:
                user.own(job.scratch)
                show(job.worker, job.inputs, job.submission)
                _let_in(user.uid, job.worker, job.inputs, job.submission, job.scratch)
            shown = [*READABLE, *prefixes(), job.worker, job.inputs, job.submission]
            settings = launcher_settings(
                job,
                user.uid if user else None,
                readable=[str(path) for path in shown],
                writable=[str(job.scratch), "/dev/null"],
                parent=os.getpid(),
            )
            env = environment(job.scratch, job.threads)
            arguments = (job.inputs, job.submission)
            child = begin(Program(job.worker, arguments, job.scratch, env, settings), forks)
        except BaseException:
            if user:
                user.release()
            raise
        return Watched(child, job.scratch, user)


class Watched(Process):
    """A worker whose working folder is on a disk: it is killed when it fills too much of it."""

    def __init__(self, child: Child, scratch: Path, user: User | None) -> None:
        super().__init__(child)
        self._user = user
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._look, args=(scratch,), daemon=True)
        self._watch.start()

    def _look(self, scratch: Path) -> None:
        while not self._stopped.wait(WATCH_SECONDS):
            if too_much(scratch):
                self._child.end()
                return

    def stop(self) -> None:
        """Kill the process and, in T3, all that its user runs."""
        self._stopped.set()
        self._watch.join()
        super().stop()
        if self._user is not None:
            self._user.kill()
            self._user.release()
            self._user = None


def too_much(folder: Path) -> bool:
    """Whether a folder holds more bytes, files or levels than a submission may make."""
    size = count = 0
    left = [(str(folder), 0)]
    while left:
        path, depth = left.pop()
        try:
            entries = [*os.scandir(path)]
        except (FileNotFoundError, NotADirectoryError):  # it is gone again
            continue
        except OSError:  # closed to the grader, or deeper than a path is long
            return True
        for entry in entries:
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            count += 1
            if entry.is_dir(follow_symlinks=False):
                left.append((entry.path, depth + 1))
        if size > LIMITS.scratch or count > MOST_FILES or depth > DEEPEST:
            return True
    return False


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _let_in(group: int, *paths: Path) -> None:
    """Let a group, and no one else, go through the grader's own temporary folders to `paths`."""
    for folder in {parent for path in paths for parent in path.parents}:
        if folder.name.startswith(OWN):
            os.chown(folder, -1, group)
            folder.chmod(0o710)
