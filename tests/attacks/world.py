"""A small machine of its own for each tier, and in it one grader that stays warm.

Covered: namespaces for mounts, processes, network, IPC and host name, in which an attack that wins
harms nobody; the user and rights of each tier; a copy of the kit; requests to the grader. Not
covered: what the grader looks for (`runner.py`), what ought to come of it (`test_attacks.py`).

Needs root on Linux, for the namespaces.
"""

import json
import os
import platform
import queue
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from autograder.sandbox.settings import prefixes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DESK = "/mnt/desk"  # where a world sees its own folder
TIERS = ("T1", "T2", "T3", "T4", "T5")
FORKED = " forked"  # after a tier: its workers are forks of a warm process
USER = 57_900  # an ordinary user, off all that a grader takes for its jobs
START_SECONDS = 180.0
# What Docker leaves to root by default.
DOCKER = (
    "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,"
    "+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap"
)
# T5 is root with all of its rights, so that whatever can be taken can be taken there.
RIGHTS = {
    "T1": [],
    "T2": [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"],
    "T3": ["--inh-caps=-all", f"--bounding-set=-all,{DOCKER}"],
    "T4": [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"],
    "T5": [],
}
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts", "--propagation", "private")


class WorldError(Exception):
    """The grader in a world ended or went silent: an attack has won over it, or it is broken."""


def missing() -> str:
    """Return why there can be no worlds here, "" where there can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "needs Linux on x86-64, by whose numbers the attacks make system calls"
    if os.geteuid() != 0:
        return "needs root, to make namespaces and ordinary users"
    tools = [name for name in ("bwrap", "setpriv", "unshare") if shutil.which(name) is None]
    if tools:
        return f"needs {', '.join(tools)}: apt install bubblewrap util-linux"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True)
    return "" if tried.returncode == 0 else f"no namespaces: {tried.stderr.decode().strip()}"


class World:
    """One tier's machine; `desk` is its folder, and `told` what an attacker may know of it.

    `place` is the tier, with FORKED after it or not.
    """

    def __init__(self, place: str, desk: Path, token: str) -> None:
        tier = place.removesuffix(FORKED)
        self.tier, self.desk = tier, desk
        self.token = token
        furnish(desk, token)
        self.give(desk)
        command = [
            *("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-ec", script(tier, desk), "sh"),
            *("setpriv", *RIGHTS[tier]),
            *(sys.executable, "-I", "-B", f"{DESK}/runner/runner.py", DESK, tier),
            *(["forked"] if place != tier else []),
        ]
        env = {"PATH": os.environ["PATH"], "LMKIT_DATA": f"{DESK}/data", "CANARY": token}
        env |= {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "HOME": "/home/grader"}
        self._log = (desk / "grader.log").open("wb")
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=env
        )
        self._answers: queue.Queue = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.told = self._answer(START_SECONDS)

    def give(self, folder: Path) -> None:
        """Make a folder and all in it the grader's own."""
        if self.tier not in ("T2", "T4"):
            return
        for base, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(os.path.join(base, name), USER, USER, follow_symlinks=False)

    def _listen(self) -> None:
        for line in self._popen.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise WorldError(f"the grader was silent for {seconds:.0f} s") from None
        if line is None:
            said = (self.desk / "grader.log").read_text(errors="replace")[-2000:]
            raise WorldError(f"the grader ended with status {self._popen.wait()}: {said}")
        return json.loads(line)

    def grade(self, name: str, seconds: dict[str, float], within: float) -> dict[str, Any]:
        """Grade `desk/hand-ins/name`; what the grader found afterwards.

        Raises:
            WorldError: it gives no answer within so many seconds.
        """
        request = {"name": name, "seconds": seconds}
        try:
            self._popen.stdin.write(json.dumps(request).encode() + b"\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says that it ended
        return self._answer(within)

    def close(self) -> None:
        """End everything in it."""
        self._popen.kill()  # and with it, by --kill-child, the first process of its namespace
        self._popen.wait()
        self._popen.stdin.close()
        self._popen.stdout.close()
        self._log.close()


def furnish(desk: Path, token: str) -> None:
    """Lay out a desk: the kit, the runner, folders, and canaries beside the hidden fixtures."""
    for name in ("hand-ins", "out", "data"):
        (desk / name).mkdir()
    ignore = shutil.ignore_patterns(
        "__pycache__", "wikitext2.safetensors", "checkpoint*.safetensors"
    )
    for name in ("autograder", "handout"):
        shutil.copytree(ROOT / name, desk / "kit" / name, ignore=ignore)
    shutil.copytree(HERE / "inside", desk / "runner", ignore=ignore)
    for name, mode in (("canary.txt", 0o644), ("private.txt", 0o600)):
        (desk / "hidden" / name).write_text(token)
        (desk / "hidden" / name).chmod(mode)
    desk.chmod(0o755)


def script(tier: str, desk: Path) -> str:
    """Return the shell commands that lay out a world's file system and then start "$@"."""
    kept = [str(path) for path in prefixes()]
    fresh = {"/tmp": "1777", "/var/tmp": "1777", "/dev/shm": "1777", "/home": "755"}
    for folder in filter(None, (private_parent(Path(path)) for path in kept)):
        if not any(Path(folder).is_relative_to(place) for place in fresh):
            fresh[folder] = "755"
    lines = ["mount -t tmpfs -o mode=755 tmpfs /mnt", f"mkdir {DESK}"]
    lines += [f"mount --bind '{desk}' {DESK}"]
    # The interpreter is bound aside before empty folders go over what may hold it, and then back.
    for index, path in enumerate(kept):
        lines += [f"mkdir /mnt/kept{index}", f"mount --bind '{path}' /mnt/kept{index}"]
    for place, mode in fresh.items():
        lines += [f"mount -t tmpfs -o mode={mode},size=3g tmpfs '{place}'"]
    for index, path in enumerate(kept):
        lines += [f"mkdir -p '{path}'", f"mount --bind /mnt/kept{index} '{path}'"]
        lines += [f"mount -o remount,bind,ro '{path}'", f"umount /mnt/kept{index}"]
    if tier in ("T3", "T4"):
        lines += [f"mount --bind /dev/null '{shutil.which('bwrap')}'"]  # containers have none
    lines += [f"'{sys.executable}' -I -B {DESK}/runner/up.py"]
    # The grader is a child of this shell: the first process of a namespace is spared many signals.
    lines += ["mkdir -m 777 /home/grader", f"cd {DESK}", '"$@"', "exit"]
    return "\n".join(lines)


def private_parent(path: Path) -> str:
    """Return the uppermost folder over a path that not all may enter, "" if there is none."""
    shut = (str(f) for f in reversed(path.parents) if not f.stat().st_mode & 0o001)
    return next(shut, "")
