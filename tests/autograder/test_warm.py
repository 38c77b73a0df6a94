"""Forked workers: each starts from the same place, ends as a process does, outlives nobody."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")
if sys.platform == "linux":
    from autograder.sandbox.process import Process, Program
    from autograder.sandbox.warm import ForkServer


@pytest.fixture(scope="module")
def forks():
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def launch(forks, tmp_path):
    """Start a script as a fork."""
    started = []

    def launch(code: str, *arguments: str, env: dict[str, str] | None = None) -> Process:
        script = tmp_path / f"{len(started)}.py"
        script.write_text(textwrap.dedent(code))
        process = Process(forks.start(Program(script, arguments, tmp_path, env or {"A": "b"})))
        started.append(process)
        return process

    yield launch
    for process in started:
        process.stop()
        process.frames.close()
        process.log.close()


def test_a_fork_is_the_program_that_was_ordered(launch, tmp_path):
    process = launch(
        """
        import json, os, sys
        print(json.dumps([sys.argv[1:], __name__, os.getcwd(), dict(os.environ)]), flush=True)
        print("to the log", file=sys.stderr)
        """,
        "one",
        "two words",
    )
    assert process.wait(60) == 0
    seen = json.loads(process.frames.read())
    assert seen == [["one", "two words"], "__main__", str(tmp_path), {"A": "b"}]
    assert process.log.read() == b"to the log\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import os; os._exit(4)", 4),
        ("raise ValueError('no')", 1),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -6),
    ],
)
def test_a_fork_ends_with_the_status_that_a_process_would(launch, code, status):
    assert launch(code).wait(60) == status


def test_torch_is_there_already(launch):
    process = launch("import sys; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)")
    assert process.wait(60) == 0
    assert process.frames.read() == b"True True\n"


def test_nothing_that_one_fork_does_reaches_the_next(launch, tmp_path):
    poison = """
        import builtins, json, os, random, tempfile, torch
        builtins.len = lambda _: 7
        json.dumps = torch.manual_seed = None
        os.environ["LEFT"] = "behind"
        tempfile.tempdir = "/elsewhere"
        random.seed(0)
        os.umask(0)
        """
    assert launch(poison).wait(60) == 0
    look = """
        import builtins, json, os, random, tempfile, torch
        print(len([]), json.dumps is None, torch.manual_seed is None, "LEFT" in os.environ,
              tempfile.tempdir, random.random(), oct(os.umask(0)))
        """
    first, second = (launch(look) for _ in range(2))
    assert (first.wait(60), second.wait(60)) == (0, 0)
    words = first.frames.read().decode().split()
    assert words[:5] == ["0", "False", "False", "False", "None"]
    assert words[6] != "0o0"
    assert second.frames.read().decode().split()[5] != words[5]  # nor do they draw the same


def test_a_fork_holds_no_descriptor_but_its_three(launch):
    process = launch(
        "import os; print([n for n in range(3, 256) if os.path.exists(f'/proc/self/fd/{n}')])"
    )
    assert process.wait(60) == 0
    assert process.frames.read() == b"[]\n"


def test_forks_run_side_by_side_and_each_is_stopped_alone(launch):
    first = launch("import time; print('up', flush=True); time.sleep(60)")
    second = launch("import time; print('up', flush=True); time.sleep(60)")
    assert first.frames.readline() == second.frames.readline() == b"up\n"
    first.stop()
    assert first.wait(1) == -9
    assert second.wait(0.2) is None


def test_what_a_fork_started_is_stopped_with_it(launch):
    process = launch(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        time.sleep(60)
        """
    )
    child = int(process.frames.readline())
    assert running(child)
    process.stop()
    wait_until(lambda: not running(child))


def test_a_server_that_was_killed_is_started_again(launch, forks):
    assert launch("pass").wait(60) == 0
    forks._process.kill()
    forks._process.wait()
    assert launch("raise SystemExit(5)").wait(60) == 5


def test_forks_and_their_server_end_with_a_grader_that_is_killed(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    grader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from autograder.sandbox.process import Program\n"
            "from autograder.sandbox.warm import ForkServer\n"
            "forks = ForkServer()\n"
            f"child = forks.start(Program({str(script)!r}, (), {str(tmp_path)!r}, {{}}))\n"
            "print(child.stdout.readline().decode().strip(), forks._process.pid, flush=True)\n"
            "child.wait()\n",
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with grader:
        worker, server = map(int, grader.stdout.readline().split())
        assert running(worker)
        assert running(server)
        grader.send_signal(signal.SIGKILL)
    wait_until(lambda: not running(worker) and not running(server))


def running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return False


def wait_until(true, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
