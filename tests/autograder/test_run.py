"""run.py: whatever a worker writes or does, each step ends as an observation; no targets go out."""

from __future__ import annotations

import io
import itertools
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Scripted, framed

from autograder import grade as grading
from autograder import run as running
from autograder.exam import Exam
from autograder.run import Allowance, Garbage, Observation, Step, WorkerFault
from autograder.sandbox import Sandbox
from autograder.submission import take

STEP = "inference.prediction"


def frame(header: dict, payload: bytes = b"", **more) -> bytes:
    return framed({"step": STEP, "nbytes": len(payload), **header, **more}, payload)


def array(name: str, values: np.ndarray, **more) -> bytes:
    about = {"name": name, "dtype": values.dtype.str, "shape": values.shape}
    return frame(about, values.tobytes(), **more)


DONE = frame({"done": 0.5})
GOOD = (
    array("scores", np.arange(6, dtype="<f4").reshape(2, 3))
    + array("words", np.array([1, 2], dtype="<i8"))
    + frame({"name": "count", "value": [1, {"a": None}]})
    + frame({"error": {"type": "ValueError", "message": "no", "where": "trainer.py:3: x"}})
)


def observe(data: bytes, step: str = STEP) -> Observation:
    """Read one step off bytes, as `_collect` does."""
    frames: queue.Queue = queue.Queue()
    running._read(io.BytesIO(data), frames, threading.Event(), Allowance())
    seen = Observation(step)
    running._fill(seen, frames, time.monotonic())
    return seen


def test_arrays_values_and_the_error_of_a_step_are_read():
    seen = observe(GOOD + DONE)
    assert seen.status == "error"
    assert seen.arrays["scores"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert seen.arrays["words"].dtype == np.int64
    assert seen.values == {"count": [1, {"a": None}]}
    assert seen.error == {"type": "ValueError", "message": "no", "where": "trainer.py:3: x"}
    assert observe(DONE).status == "ok"


GARBAGE = {
    "no JSON": b"hello\n",
    "no UTF-8": b"\xff\xfe\x00\n",
    "an endless line": b"[" * (running.MAX_HEADER + 5),
    "deep JSON": b"[" * 100_000 + b"\n",
    "deep values": b'{"step": "inference.prediction", "nbytes": 0, "value": '
    + b"[" * 950
    + b"]" * 950
    + b"}\n",
    "deep objects": b'{"a":' * 40_000 + b"\n",
    "a huge number": b"1" * 10_000 + b"\n",
    "a list": b"[]\n",
    "a string": b'"step"\n',
    "an empty line": b"\n",
    "no size": b'{"step": "inference.prediction", "done": 1}\n',
    "a negative size": frame({"done": 1}, nbytes=-1),
    "a huge size": frame({"done": 1}, nbytes=1 << 62),
    "a size that is a float": frame({"done": 1}, nbytes=1.0),
    "a size that is true": frame({"done": 1}, nbytes=True),
    "a size that is text": frame({"done": 1}, nbytes="1"),
    "another step": frame({"step": "prediction", "done": 1}),
    "a step that is a list": frame({"step": [STEP], "done": 1}),
    "no step": b'{"nbytes": 0, "done": 1}\n',
    "no known kind": frame({"hello": 1}),
    "a dtype that is not known": frame({"name": "x", "dtype": "<f8", "shape": [1]}, bytes(8)),
    "an object dtype": frame({"name": "x", "dtype": "|O", "shape": [1]}, bytes(8)),
    "a dtype that is a list": frame({"name": "x", "dtype": ["<f4"], "shape": [1]}, bytes(4)),
    "a dtype that is nothing": frame({"name": "x", "dtype": None, "shape": [1]}, bytes(4)),
    "no shape": frame({"name": "x", "dtype": "<f4"}, bytes(4)),
    "a shape that is a number": frame({"name": "x", "dtype": "<f4", "shape": 1}, bytes(4)),
    "a negative shape": frame({"name": "x", "dtype": "<f4", "shape": [-1, -1]}, bytes(4)),
    "a shape of floats": frame({"name": "x", "dtype": "<f4", "shape": [1.0]}, bytes(4)),
    "a shape of booleans": frame({"name": "x", "dtype": "<f4", "shape": [True]}, bytes(4)),
    "five axes": frame({"name": "x", "dtype": "<f4", "shape": [1] * 5}, bytes(4)),
    "3.6 TiB": frame({"name": "x", "dtype": "<f4", "shape": [10**6, 10**6]}, bytes(4)),
    "nothing, very often": frame({"name": "x", "dtype": "<f4", "shape": [0, *[2**30] * 3]}),
    "too many bytes": frame({"name": "x", "dtype": "<f4", "shape": [1]}, bytes(8)),
    "too few bytes": frame({"name": "x", "dtype": "<i8", "shape": [1]}, bytes(4)),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_frames_that_break_the_rules_are_garbage(data):
    with pytest.raises(Garbage):
        observe(GOOD + data + DONE)


def test_a_step_that_is_reported_twice_is_garbage_to_the_next_one():
    frames: queue.Queue = queue.Queue()
    running._read(io.BytesIO(DONE + DONE), frames, threading.Event(), Allowance())
    running._fill(Observation(STEP), frames, time.monotonic())
    with pytest.raises(Garbage, match=r"a frame of step 'inference\.prediction'"):
        running._fill(Observation("inference.generation"), frames, time.monotonic())


def test_output_that_ends_early_is_an_end_and_no_answer():
    for cut in range(len(GOOD + DONE) - 1):
        with pytest.raises(EOFError):
            observe((GOOD + DONE)[:cut])


def test_silence_ends_at_the_deadline():
    with pytest.raises(queue.Empty):
        running._fill(Observation(STEP), queue.Queue(), time.monotonic() + 0.01)


def test_the_bytes_lines_and_frames_of_a_run_are_bounded(monkeypatch):
    many = b"".join(array("x", np.zeros(10, dtype="<f4")) for _ in range(3))
    assert observe(many + DONE).ok
    monkeypatch.setattr(running, "MAX_BYTES", 100)
    with pytest.raises(Garbage, match="of output"):
        observe(many + DONE)
    monkeypatch.setattr(running, "MAX_BYTES", 1000)
    monkeypatch.setattr(running, "MAX_LINES", len(DONE) + 200)
    with pytest.raises(Garbage, match="of words about it"):
        observe(many + DONE)
    monkeypatch.setattr(running, "MAX_LINES", 10_000)
    monkeypatch.setattr(running, "MAX_STEP_FRAMES", 5)
    with pytest.raises(Garbage, match="over 5 frames"):
        observe(frame({"name": "x", "value": 1}) * 6 + DONE)


def test_an_error_that_is_no_object_is_an_error_all_the_same():
    seen = observe(frame({"error": "forged"}) + DONE)
    assert (seen.status, seen.error["type"]) == ("error", "")
    odd = observe(frame({"error": {"type": [1], "message": {"a": 1}, "more": 1}}) + DONE)
    assert odd.error == {"type": "[1]", "message": "{'a': 1}", "where": ""}


def test_no_damage_to_the_frames_raises_anything_else():
    rng, data = random.Random(0), GOOD + DONE
    ends = {"ok": 0, "bad": 0}
    for _ in range(3000):
        changed = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
        for _ in range(rng.randint(0, 4)):
            at = rng.randrange(len(changed) + 1)
            changed[at : at + rng.randint(0, 3)] = rng.choice(
                (b"\n", b"9" * 20, b"-", b'"', b"{", b"null", b"[[", bytes([rng.randrange(256)]))
            )
        try:
            observe(bytes(changed))
            ends["ok"] += 1
        except (Garbage, EOFError):
            ends["bad"] += 1
    assert min(ends.values()) > 50


# What goes out: inputs, and nothing that helps to guess a target.


def test_no_file_of_the_job_holds_targets(base, numbers, public, judge, tmp_path):
    files: dict[str, bytes] = {}

    def look(job):
        assert list(job.scratch.iterdir()) == []
        files.update({path.name: path.read_bytes() for path in job.inputs.rglob("*")})

    exam = Exam.of(numbers, public, judge)
    grading.grade(base, exam, log=tmp_path / "log", box=Scripted(look))

    def there(array: np.ndarray) -> bool:
        forms = [array.astype(dtype).tobytes() for dtype in ("<i8", "<i4", "<i2", "u1", "<f4")]
        forms += [array.T.astype("<i8").tobytes(), json.dumps(array.tolist())[1:-1].encode()]
        return any(form in data for form in forms for data in files.values())

    assert there(public.prediction) and there(public.generation)  # so that it would be found
    assert not there(public.next_word) and not there(public.next_word[:40])
    assert not there(public.human) and not there(public.human[:4])
    spec = json.loads(files["spec.json"])
    assert set(files) == {"spec.json", "steps.json", *(f"{name}.bin" for name in spec["arrays"])}
    assert set(spec["arrays"]) == {
        "articles",
        "lengths",
        "trained_articles",
        "trained_lengths",
        "prompts",
        "activations",
        "embedding",
        "prediction",
        "generation",
    }
    text = files["spec.json"].decode()
    for secret in (str(public.referee_nll), public.digest, "checkpoint.safetensors", "secret"):
        assert secret not in text


# Processes, with small workers in place of the real one, which takes seconds to import torch.

PRELUDE = """
import json, os, sys, time
steps = json.load(open(os.path.join(sys.argv[1], "steps.json")))
def frame(step, **header):
    sys.stdout.write(json.dumps({"step": step, "nbytes": 0, **header}) + "\\n")
    sys.stdout.flush()
with open("started", "a") as file:
    file.write("x")
frame("", ready=True)
for step, kind, *arguments in steps:
"""


@pytest.fixture
def work(tmp_path, base, monkeypatch):
    """Run steps named "a", "b", … with a worker whose loop over `step` has the given body."""
    (tmp_path / "into").mkdir()
    submission = take(base, tmp_path / "into")

    def work(
        body: str,
        steps: str | list[Step] = "abc",
        seconds: float = 60.0,
        arrays: dict[str, np.ndarray] | None = None,
        box: Sandbox | None = None,
    ) -> dict[str, Observation]:
        script = tmp_path / "worker.py"
        script.write_text(PRELUDE + "".join(f"    {line}\n" for line in body.splitlines()))
        monkeypatch.setattr(running, "WORKER", script)
        asked = [
            step if isinstance(step, Step) else Step(step, "kind", seconds=seconds)
            for step in steps
        ]
        return running.run(
            submission, asked, arrays or {}, {"threads": 1}, tmp_path / "log", box=box
        )

    return work


def test_steps_run_in_order_in_one_process(work):
    seen = work('frame(step, name="runs", value=len(open("started").read()))\nframe(step, done=1)')
    assert {step: o.status for step, o in seen.items()} == {"a": "ok", "b": "ok", "c": "ok"}
    assert {o.values["runs"] for o in seen.values()} == {1}


@pytest.mark.skipif(os.name != "posix", reason="names of signals")
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("os._exit(0)", "exit status 0"),
        ("sys.exit(7)", "exit status 7"),
        ("raise ValueError", "exit status 1"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("os.abort()", "killed by SIGABRT"),
        ('sys.stdout.write("{"); sys.stdout.flush(); os._exit(3)', "exit status 3"),
    ],
)
def test_a_process_that_ends_costs_its_step_only(work, how, says):
    seen = work(f'if step == "b":\n    {how}\nframe(step, done=1)')
    assert {step: o.status for step, o in seen.items()} == {"a": "ok", "b": "crash", "c": "ok"}
    assert says in seen["b"].error["message"]


def test_a_process_that_hangs_costs_its_step_only(work):
    seen = work('time.sleep(99 * (step == "b"))\nframe(step, done=1)', seconds=0.5)
    assert {step: o.status for step, o in seen.items()} == {"a": "ok", "b": "timeout", "c": "ok"}
    assert 0.5 <= seen["b"].seconds < 5


def test_what_needs_a_step_that_hung_is_not_run_and_the_rest_is(work):
    """An endless constructor costs one time-out, not one for each step that builds a model."""
    asked = [
        Step("a", "kind", seconds=0.5),
        Step("b", "kind", needs=("a",)),
        Step("c", "kind"),
        Step("d", "kind", needs=("b", "c")),
    ]
    seen = work('time.sleep(99 * (step == "a"))\nframe(step, done=1)', asked)
    assert [seen[step].status for step in "abcd"] == ["timeout", "not run", "ok", "not run"]


def test_a_process_that_writes_for_ever_is_stopped(work, monkeypatch):
    monkeypatch.setattr(running, "MAX_STEP_FRAMES", 2000)
    seen = work(
        'while step == "b":\n    frame(step, name="x", value=1)\nframe(step, done=1)',
    )
    assert {step: o.status for step, o in seen.items()} == {"a": "ok", "b": "garbage", "c": "ok"}


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_what_the_submission_started_does_not_outlive_the_job(work, tmp_path):
    pid = tmp_path / "pid"
    body = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(pid)!r}, "w").write(str(child.pid))
frame(step, done=1)
"""
    seen = work(body, steps="a")
    assert seen["a"].ok
    child = int(pid.read_text())
    for _ in itertools.takewhile(lambda _: alive(child), range(100)):
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        pass
    if sys.platform == "linux":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_secret_of_the_graders_environment_and_no_descriptor_goes_along(work, monkeypatch):
    monkeypatch.setenv("LMKIT_SECRET", "the hidden seed")
    with open(os.devnull) as file:
        os.set_inheritable(file.fileno(), True)
        seen = work(
            'frame(step, name="env", value=dict(os.environ))\n'
            'frame(step, name="fds", value=[fd for fd in range(3, 64) if os.path.exists('
            'f"/proc/self/fd/{fd}")])\n'
            'frame(step, name="stdin", value=sys.stdin.read())\n'
            'frame(step, name="cwd", value=[os.getcwd(), os.listdir()])\n'
            "frame(step, done=1)",
            steps="a",
        )
    values = seen["a"].values
    assert "the hidden seed" not in json.dumps(values["env"])
    assert set(values["env"]) <= {
        "PATH",
        "HOME",
        "TMPDIR",
        "OPENBLAS_NUM_THREADS",
        "USER",
        "LC_ALL",
        "LC_CTYPE",
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "MPLBACKEND",
        "SYSTEMROOT",
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
    }
    assert values["fds"] == []
    assert values["stdin"] == ""
    assert values["cwd"][1] == ["started"]
    assert not Path(values["cwd"][0]).exists()  # gone with the job


def test_a_worker_that_does_not_come_up_is_the_graders_fault(work, tmp_path):
    box = Scripted(written=b"")
    with pytest.raises(WorkerFault, match=r"did not come up \(exit status 1\): a word"):
        work("", box=box)
    with pytest.raises(WorkerFault, match="did not come up"):
        work("", box=Scripted(written=frame({"step": "a", "done": 1})))


def test_inputs_of_a_step_are_not_there_before_it_begins(work):
    secret = np.arange(5)
    path = 'os.path.join(sys.argv[1], "secret.bin")'
    body = f"""
before = os.path.exists({path})
while step == "b" and not os.path.exists({path}):
    time.sleep(0.01)
frame(step, name="seen", value=[before, open({path}, "rb").read().hex() if step == "b" else ""])
time.sleep(0.3 * (step == "a"))
frame(step, done=1)
"""
    seen = work(
        body, [Step("a", "kind"), Step("b", "kind", inputs=("secret",))], arrays={"secret": secret}
    )
    assert seen["a"].values["seen"] == [False, ""]
    assert seen["b"].values["seen"][1] == secret.tobytes().hex()


def test_nothing_printed_is_kept_from_a_hidden_step_on(work, tmp_path):
    body = """
if step != "a":
    while not os.path.exists(os.path.join(sys.argv[1], "secret.bin")):
        time.sleep(0.01)
print("said by", step, file=sys.stderr, flush=True)
frame(step, done=1)
"""
    hidden = Step("b", "kind", inputs=("secret",), hidden=True)
    work(body, [Step("a", "kind"), hidden, Step("c", "kind")], arrays={"secret": np.arange(5)})
    assert (tmp_path / "log").read_text() == "said by a\n"


def test_a_run_that_wrote_too_much_gets_no_further_and_is_no_fault(work, monkeypatch):
    monkeypatch.setattr(running, "MAX_LINES", 2000)
    seen = work(
        'frame(step, name="x", value="x" * 3000 * (step == "b"))\nframe(step, done=1)',
    )
    assert {step: o.status for step, o in seen.items()} == {
        "a": "ok",
        "b": "garbage",
        "c": "garbage",
    }
    assert "of output" in seen["c"].error["message"]


def test_no_more_than_the_first_of_a_flood_is_kept(work, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "MAX_LOG", 1000)
    seen = work('print("x" * 10_000_000, file=sys.stderr, flush=True)\nframe(step, done=1)')
    assert all(o.ok for o in seen.values())
    assert (tmp_path / "log").read_text() == "x" * 1000


def test_what_is_printed_goes_to_the_log(work, tmp_path):
    work('print("said by", step, file=sys.stderr)\nframe(step, done=1)', steps="ab")
    assert (tmp_path / "log").read_text().splitlines() == ["said by a", "said by b"]


def test_endings_are_put_in_words():
    assert running._ending(None) == "it closed its output"
    assert running._ending(3) == "exit status 3"
    assert running._ending(-signal.SIGTERM) == "killed by SIGTERM"
    assert running._ending(-63) == "killed by signal 63"
