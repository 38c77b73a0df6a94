"""Sandbox: what each piece keeps from a process, and that a tier is tried before it is trusted.

Whole tiers against whole attacks are in tests/attacks; here are the pieces they are made of.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from autograder import sandbox
from autograder.sandbox import canary, process
from autograder.sandbox.plain import Plain
from autograder.sandbox.process import LIMITS, Job, Limits, Process, environment, show

linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces, Landlock, seccomp")
if sys.platform == "linux":
    from autograder.sandbox import confined, launcher, users
    from autograder.sandbox.bubblewrap import Bubblewrap
    from autograder.sandbox.settings import launcher_settings, prefixes

    ROOT = os.geteuid() == 0
    LAUNCHER = str(Path(launcher.__file__))
root = pytest.mark.skipif(sys.platform != "linux" or not ROOT, reason="users of one's own: root")
bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture(scope="module")
def forks():
    if sys.platform != "linux":
        return None
    from autograder.sandbox.warm import ForkServer

    server = ForkServer()
    yield server
    server.close()


# Which tier is taken.


class Tier:
    """A sandbox for show."""

    def __init__(self, tier: str, official: bool, missing: str = "", found: str = "") -> None:
        self.tier, self.official, self.about = tier, official, "for show"
        self._missing, self.found = missing, found

    def missing(self) -> str:
        return self._missing


@pytest.fixture
def tiers(monkeypatch):
    def tiers(*boxes: Tier) -> None:
        monkeypatch.setattr(sandbox, "tiers", lambda: list(boxes))
        monkeypatch.setattr(canary, "findings", lambda box: [box.found] if box.found else [])

    return tiers


def test_the_best_tier_that_holds_is_taken_and_says_why_not_a_better_one(tiers):
    tiers(
        Tier("T1", True, missing="no bwrap"),
        Tier("T2", True, found="it could fork"),
        Tier("T3", True),
        Tier("T4", False),
    )
    chosen = sandbox.choose()
    assert (chosen.tier, chosen.official) == ("T3", True)
    assert chosen.over == {"T1": "no bwrap", "T2": "it could fork"}
    assert chosen.facts()["canary"] == f"{canary.COUNT} of {canary.COUNT} attempts stopped"


def test_official_grading_refuses_rather_than_falls_back(tiers):
    tiers(Tier("T1", True, missing="no bwrap: apt install it"), Tier("T4", False), Plain())
    assert sandbox.choose().tier == "T4"
    with pytest.raises(sandbox.SandboxError, match="T1: no bwrap: apt install it") as told:
        sandbox.choose(official=True)
    assert "--practice" in str(told.value)


def test_a_tier_that_is_asked_for_is_the_only_one_that_will_do(tiers):
    tiers(Tier("T1", True, found="it could read"), Tier("T3", True), Plain())
    with pytest.raises(sandbox.SandboxError, match="T1: it could read"):
        sandbox.choose("T1")
    assert sandbox.choose("T5").tier == "T5"
    with pytest.raises(sandbox.SandboxError, match="not for official"):
        sandbox.choose("T5", official=True)
    with pytest.raises(sandbox.SandboxError, match="not for this system"):
        sandbox.choose("T2")


def test_a_tier_in_which_forks_do_not_hold_starts_new_processes(tiers, monkeypatch):
    class Forks:
        def missing(self) -> str:
            return ""

    forks = Forks()
    tiers(Tier("T1", True))
    monkeypatch.setattr(canary, "findings", lambda box: [])
    assert sandbox.choose(forks=forks).forks is forks
    assert sandbox.choose().forks is None
    leaky = lambda box: ["it could read"] if getattr(box, "forks", None) else []  # noqa: E731
    monkeypatch.setattr(canary, "findings", leaky)
    chosen = sandbox.choose(forks=forks)
    assert (chosen.tier, chosen.forks) == ("T1", None)
    assert chosen.facts()["worker"] == "a new process"


# The canary.


@linux
def test_the_canary_finds_what_an_ordinary_process_can_do():
    found = canary.findings(Plain())
    for could in ("read a file", "read an environment", "write outside", "reach by tcp"):
        assert f"a program in it could {could}" in found
    for could in ("reach by udp", "start a process", "outlive the job", "signal the grader"):
        assert f"a program in it could {could}" in found


@linux
def test_the_canary_finds_a_descriptor_that_was_left_open(monkeypatch):
    started = process.Started
    monkeypatch.setattr(
        process, "Started", lambda *args, **more: started(*args, **{**more, "close_fds": False})
    )
    assert "a program in it could read a descriptor" in canary.findings(Plain())


def test_a_sandbox_in_which_nothing_runs_is_a_finding():
    class Broken(Plain):
        def launch(self, job: Job) -> Process:
            job.worker.write_text("raise SystemExit('no such namespace')")
            return super().launch(job)

    (found,) = canary.findings(Broken())
    assert found == "a small program cannot be run in it: no such namespace"

    class Absent(Plain):
        def launch(self, job: Job) -> Process:
            raise FileNotFoundError("bwrap")

    (found,) = canary.findings(Absent())
    assert "cannot be started: bwrap" in found


@linux
def test_the_tier_of_this_machine_passes_its_canary(forks):
    """Which tier that is depends on the machine; that one below T5 holds, on Linux, does not."""
    chosen = sandbox.choose(forks=forks)
    assert chosen.tier != "T5"
    assert chosen.forks is forks


# The launcher, which any user of Linux can try.

ASKS = """
import json, os, resource, socket, stat, sys, threading
def said(what):
    try:
        return what() or "done"
    except OSError as error:
        return type(error).__name__
def run_thread():
    thread = threading.Thread(target=print, args=("",), kwargs={"file": sys.stderr})
    thread.start(); thread.join()
"""


@pytest.fixture
def confine(tmp_path):
    """Run Python under the launcher; `what` is an expression whose value comes back."""
    job = Job(*(tmp_path / n for n in ("worker.py", "inputs", "sub", "scratch")), threads=1)
    job.scratch.mkdir()

    def confine(what: str, **settings) -> object:
        job.worker.write_text(ASKS + f"print(json.dumps({what}))\n")
        told = json.dumps(launcher_settings(job, None, **settings))
        done = subprocess.run(
            [sys.executable, "-I", LAUNCHER, told, sys.executable, "-I", str(job.worker)],
            cwd=job.scratch,
            env=environment(job.scratch, 1),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return confine


@linux
@pytest.mark.parametrize(
    ("what", "comes"),
    [
        ("said(os.fork)", "PermissionError"),
        ("said(lambda: os.posix_spawn('/bin/true', ['true'], {}))", "PermissionError"),
        ("said(run_thread)", "done"),
        ("said(lambda: socket.socket())", "PermissionError"),
        ("said(lambda: socket.socket(socket.AF_UNIX))", "PermissionError"),
        ("said(lambda: socket.socketpair() and None)", "done"),
        ("said(lambda: os.kill(os.getppid(), 0))", "PermissionError"),
        ("said(lambda: os.kill(-1, 0))", "PermissionError"),
        ("said(lambda: os.kill(0, 0))", "PermissionError"),
        ("said(lambda: os.kill(os.getpid(), 0))", "done"),
        ("said(lambda: os.mkfifo('x'))", "PermissionError"),
        ("said(lambda: os.memfd_create('x'))", "PermissionError"),
        ("said(lambda: os.chown('.', os.getuid(), -1))", "PermissionError"),
        ("said(lambda: os.chmod('.', 0o4700))", "PermissionError"),
        ("said(lambda: os.chmod('.', 0o2700))", "PermissionError"),
        ("said(lambda: os.chmod('.', 0o750))", "done"),
        ("said(lambda: os.setuid(os.getuid()))", "PermissionError"),
        ("said(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU))", "PermissionError"),
    ],
)
def test_the_filter_refuses_what_no_right_submission_calls(confine, what, comes):
    assert confine(what) == comes


@linux
def test_every_call_on_the_list_is_known_by_name_or_number():
    """A name with a slip in it would be refused to nobody."""
    import pyseccomp

    known = [pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, name) for name in launcher.DENIED]
    unknown = {n for n, k in zip(launcher.DENIED, known, strict=True) if k == -1}
    assert unknown <= set(launcher.NUMBERS)
    assert len(launcher.DENIED) == len(set(launcher.DENIED)) > 100


@linux
def test_limits_are_set_and_cannot_be_raised(confine):
    bounds = confine(
        "{n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n)) for n in "
        "('AS', 'FSIZE', 'NOFILE', 'CORE', 'CPU')}"
    )
    assert all(soft == hard for soft, hard in bounds.values())
    assert bounds["FSIZE"][0] == Limits.file
    assert bounds["CORE"][0] == 0
    assert bounds["AS"][0] > Limits.memory  # and the libraries of torch
    if not ROOT:
        raised = "said(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999)))"
        assert confine(raised) == "ValueError"


@linux
def test_memory_ends_at_its_bound(confine, monkeypatch):
    monkeypatch.setattr("autograder.sandbox.settings.libraries", lambda: 0)
    monkeypatch.setattr("autograder.sandbox.settings.LIMITS", Limits(memory=512 * 2**20))
    big = "(lambda n: [said(lambda: bytes(n) and None) for _ in '1'])"
    with pytest.raises(AssertionError, match="MemoryError"):
        confine(f"{big}(600 * 2**20)")
    assert confine(f"{big}(50 * 2**20)") == ["done"]


@linux
def test_nothing_but_what_is_shown_can_be_opened(confine, tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("y")
    worker, scratch = str(tmp_path / "worker.py"), str(tmp_path / "scratch")
    paths = {
        "readable": [*confined.READABLE, *map(str, prefixes()), worker, str(tmp_path / "shown")],
        "writable": [scratch, "/dev/null"],
    }
    read = "lambda p: said(lambda: open(p).read())"
    write = "lambda p: said(lambda: open(p, 'w').close())"
    assert confine(f"({read})({str(tmp_path / 'secret')!r})", **paths) == "PermissionError"
    assert confine(f"({read})('/etc/passwd')", **paths) == "PermissionError"
    assert confine(f"({read})('/proc/{os.getpid()}/environ')", **paths) == "PermissionError"
    assert confine(f"({read})({str(tmp_path / 'shown' / 'file')!r})", **paths) == "y"
    assert confine("said(lambda: os.listdir('/tmp') and None)", **paths) == "PermissionError"
    assert confine(f"({write})({str(tmp_path / 'new')!r})", **paths) == "PermissionError"
    assert confine(f"({write})({str(tmp_path / 'shown' / 'file')!r})", **paths) == "PermissionError"
    assert confine("said(lambda: os.symlink('/etc', 'link'))", **paths) == "done"
    assert confine("said(lambda: os.listdir('link') and None)", **paths) == "PermissionError"
    assert confine(f"({write})('mine')", **paths) == "done"


@linux
def test_no_descriptor_goes_along(confine):
    left = "[fd for fd in range(3, 64) if os.path.exists(f'/proc/self/fd/{fd}')]"
    with open(os.devnull) as file:
        os.set_inheritable(file.fileno(), True)
        assert confine(left) == []


@linux
def test_a_process_whose_grader_is_gone_does_not_begin(confine):
    with pytest.raises(AssertionError, match="the grader is gone"):
        confine("1", parent=1)
    assert confine("1", parent=os.getpid()) == 1


# Users.


@root
def test_two_jobs_have_two_users_that_no_account_has():
    first, second = users.User.take(), users.User.take()
    try:
        assert first.uid != second.uid
        assert {first.uid, second.uid} <= set(range(users.FIRST, users.FIRST + users.COUNT))
    finally:
        first.release()
        second.release()


@root
def test_all_that_a_user_runs_is_killed_whatever_its_session():
    user = users.User.take()
    command = ["/bin/sh", "-c", "setsid sleep 60 & (setsid sleep 60 &); sleep 60"]
    child = subprocess.Popen(command, user=user.uid, group=user.uid, extra_groups=[], env={})
    deadline = time.monotonic() + 10
    while len(users.processes(user.uid)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(users.processes(user.uid)) == 4
    user.kill()
    assert users.processes(user.uid) == []
    assert child.wait(5) == -9
    user.release()


@root
def test_a_user_who_runs_something_for_a_grader_that_cannot_be_seen_is_passed_over(monkeypatch):
    monkeypatch.setattr(users, "COUNT", 2)
    busy = users.FIRST
    with subprocess.Popen(["/bin/sleep", "60"], user=busy, env={}) as child:
        for _ in range(8):  # whichever of the two is looked at first
            user = users.User.take()
            assert user.uid == busy + 1
            user.release()
        assert child.poll() is None
        child.kill()


@root
def test_what_a_killed_grader_left_is_ended_by_the_next(monkeypatch):
    user = users.User.take()
    child = subprocess.Popen(["/bin/sleep", "60"], user=user.uid, env={})
    user.release()  # as the system does when a grader dies
    monkeypatch.setattr(users, "FIRST", user.uid)
    monkeypatch.setattr(users, "COUNT", 1)
    again = users.User.take()
    assert again.uid == user.uid
    assert child.wait(5) == -9
    again.release()


@root
def test_a_user_gets_folders_but_nothing_that_links_in_them_lead_to(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    (tmp_path / "out").write_text("y")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    user = users.User.take()
    user.own(tmp_path / "in")
    user.release()
    assert (tmp_path / "in" / "file").stat().st_uid == user.uid
    assert (tmp_path / "out").stat().st_uid == 0


# What a tier shows.


@root
@bwrap
@pytest.mark.parametrize("forked", [False, True], ids=["a new process", "a fork"])
def test_a_namespace_shows_inputs_and_submission_and_nothing_else(forked, forks, tmp_path):
    job = Job(*(tmp_path / n for n in ("worker.py", "inputs", "sub", "scratch")), threads=1)
    for folder in (job.inputs, job.submission, job.scratch):
        folder.mkdir()
    (job.inputs / "a").write_text("x")
    job.worker.write_text(
        textwrap.dedent(
            """
            import json, os, resource, sys
            seen = {
                "arguments": [sorted(os.listdir(path)) for path in sys.argv[1:]],
                "home": os.listdir("/root") if os.access("/root", os.R_OK) else [],
                "tmp": os.listdir("/tmp"),
                "processes": sum(name.isdigit() for name in os.listdir("/proc")),
                "user": [os.getuid(), os.getgid(), os.getgroups()],
                "etc": os.listdir("/etc"),
                "place": [os.getcwd(), os.environ["HOME"]],
                "descriptors": [n for n in range(3, 256) if os.path.exists(f"/proc/self/fd/{n}")],
                "status": open("/proc/self/status").read(),
                "files": resource.getrlimit(resource.RLIMIT_FSIZE),
            }
            print(json.dumps(seen), flush=True)
            """
        )
    )
    process = Bubblewrap(True).launch(job, forks if forked else None)
    assert process.wait(30) == 0, process.log.read()
    seen = json.loads(process.frames.read())
    process.stop()
    process.frames.close()
    process.log.close()
    assert seen["arguments"] == [["a"], []]
    assert set(seen["home"]) <= {".pyenv"}  # what leads to the interpreter, where it lies there
    inside = [path.parts[2] for path in prefixes() if path.is_relative_to("/tmp")]
    assert set(seen["tmp"]) <= set(inside)  # what leads to the interpreter, where it lies there
    assert seen["processes"] <= 3
    assert seen["user"][0] >= users.FIRST and seen["user"][2] == []
    assert set(seen["etc"]) <= {"ld.so.cache", "localtime", "alternatives"}
    assert seen["place"] == ["/tmp", "/tmp"]
    assert seen["descriptors"] == []
    assert seen["files"] == [LIMITS.file, LIMITS.file]
    rights = dict(line.split(":\t") for line in seen["status"].splitlines())
    assert {int(rights[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
    assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")


@linux
def test_a_folder_that_fills_up_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(confined, "LIMITS", Limits(scratch=2**20))
    monkeypatch.setattr(confined, "MOST_FILES", 20)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**30)
    assert not confined.too_much(tmp_path)  # it takes no room
    (tmp_path / "full").write_bytes(os.urandom(2**20 + 1))
    assert confined.too_much(tmp_path)
    (tmp_path / "full").unlink()
    for i in range(20):
        (tmp_path / str(i)).mkdir()
    assert confined.too_much(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_any_user_can_read_what_is_shown_whatever_the_umask_was(tmp_path):
    umask = os.umask(0o077)
    try:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "file").write_text("x")
        show(tmp_path / "a")
    finally:
        os.umask(umask)
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "a", *(tmp_path / "a").rglob("*"))]
    assert modes == [0o755, 0o755, 0o644]
