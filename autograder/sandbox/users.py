"""Users that no one is: a uid for each job, and an end to all that runs under it.

Covered: taking a uid that no account, process or other grader has, giving files to it, killing
everything that has it. Needs root. Not covered: what such a user may do (`launcher.py`).
"""

import os
import pwd
import secrets
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from ..faults import Fault

# Below 65,536, because containers often have no uids beyond; off the ranges of accounts, of
# nobody, and of systemd's dynamic users.
FIRST, COUNT = 58_000, 256
GONE_SECONDS = 10.0


class User:
    """A uid (and gid) held until `release`.

    What holds it is a socket's name in the kernel: it does not depend on folders, and it is free
    again when its holder dies, however that is.
    """

    def __init__(self, uid: int, held: socket.socket) -> None:
        self.uid = uid
        self._held = held

    @classmethod
    def take(cls) -> "User":
        """Take a free uid.

        One that runs nothing: graders in different network namespaces do not see each other's
        names. If all run something, then one of them, and an end to what a killed grader may have
        left under it.

        Raises:
            Fault: none is free.
        """
        # Containers do not see each other's names, but share what is counted by uid.
        start = secrets.randbelow(COUNT)
        uids = [(start + i) % COUNT + FIRST for i in range(COUNT)]
        for idle in (True, False):
            for uid in uids:
                user = cls._held_by_us(uid)
                if user is None:
                    continue
                if idle and processes(uid):
                    user.release()
                    continue
                user.kill()
                return user
        raise Fault(f"none of the uids {FIRST} to {FIRST + COUNT - 1} is free")

    @classmethod
    def _held_by_us(cls, uid: int) -> "User | None":
        """Hold a uid, unless an account has it or another grader holds it."""
        with suppress(KeyError):
            pwd.getpwuid(uid)
            return None
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0lm-kit-user-{uid}")
        except OSError:
            held.close()
            return None
        return cls(uid, held)

    def release(self) -> None:
        """Let another job have the uid."""
        self._held.close()

    def own(self, folder: Path) -> None:
        """Give a folder and all in it to the user; links are not followed."""
        for base, folders, files in os.walk(folder):
            for path in (base, *(os.path.join(base, name) for name in (*folders, *files))):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def kill(self) -> None:
        """Kill every process of the user and wait until there is none.

        A process that forks faster than a list of processes can be read cannot outrun a signal to
        all of a user's processes, which the kernel sends in one go.

        Raises:
            Fault: some could not be killed.
        """
        deadline = time.monotonic() + GONE_SECONDS
        while processes(self.uid):
            subprocess.run(
                ["/bin/sh", "-c", "kill -KILL -1"],
                user=self.uid,
                group=self.uid,
                extra_groups=[],
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if time.monotonic() > deadline:
                raise Fault(f"processes of uid {self.uid} cannot be killed")
            time.sleep(0.002)


def processes(uid: int) -> list[int]:
    """List the processes of a user that are still running; zombies are not."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid != uid:
                continue
            # The state comes after the name, which may hold anything.
            state = Path(entry.path, "stat").read_bytes().rpartition(b") ")[2][:1]
        except OSError:  # it ended meanwhile
            continue
        if state not in (b"Z", b"X"):
            found.append(int(entry.name))
    return found
