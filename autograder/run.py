"""Runs a submission over a list of steps and brings back what it did.

Covered: the job's files, time-outs, crashes and restarts, reading the worker's frames without
believing them. Not covered: what the observations mean (`checks/`, `score.py`).

A step that crashes or hangs the process costs that step only: the next one starts in a new process.
"""

import json
import math
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import sandbox
from .submission import Submission

WORKER = Path(__file__).with_name("worker.py")
DTYPES = {"<f4": 4, "<i8": 8}
DEADLY = ("timeout", "crash", "garbage")  # the process does not outlive these
MAX_HEADER = 1 << 18
MAX_STEP_BYTES = 1 << 30
MAX_STEP_FRAMES = 20_000


@dataclass(frozen=True)
class Step:
    """One thing to ask of a submission: `arguments` are strings, `seconds` the wall-clock limit.

    `needs` names steps whose code this one runs again: where one of them hung or crashed the
    process, this one is not run, for it would only do the same.
    """

    id: str
    kind: str
    arguments: tuple[str, ...] = ()
    seconds: float = 60.0
    needs: tuple[str, ...] = ()


@dataclass
class Observation:
    """What a step brought back.

    `status` is "ok", "error" (an exception: `error` has type, message, where), "timeout", "crash"
    (the process ended: `error["message"]` says how), "garbage" (frames that break the rules) or
    "not run".
    """

    step: str
    status: str = "not run"
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the step ended normally."""
        return self.status == "ok"


class Garbage(Exception):
    """The worker's frames break the rules."""


def write_job(
    folder: Path,
    submission: Submission,
    steps: Sequence[Step],
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
) -> None:
    """Write the inputs that the worker sees: arrays as raw bytes, the rest as spec.json."""
    described = {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        array.tofile(folder / f"{name}.bin")
        described[name] = {"dtype": array.dtype.str, "shape": array.shape}
    spec = {
        **settings,
        "submission": str(submission.root),
        "arrays": described,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    write_steps(folder, steps)


def write_steps(folder: Path, steps: Sequence[Step]) -> None:
    """Write which steps the next process is to run."""
    listed = [[step.id, step.kind, *step.arguments] for step in steps]
    (folder / "steps.json").write_text(json.dumps(listed))


def run(
    submission: Submission,
    steps: Sequence[Step],
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
    log: Path,
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Observation]:
    """Run all steps; each one's observation, by the step's id.

    Args:
        submission: what `submission.take` returned.
        steps: in the order in which to run them.
        arrays: inputs, by the name that the worker asks for. Targets never go here.
        settings: the rest of spec.json.
        log: file for what the submission prints.
        on_step: called with a step's id when it begins.
    """
    observations = {step.id: Observation(step.id) for step in steps}
    left, dead = list(steps), set()
    with tempfile.TemporaryDirectory(prefix="lm-kit-") as temporary, log.open("wb") as log_file:
        job, scratch = Path(temporary) / "job", Path(temporary) / "scratch"
        job.mkdir()
        scratch.mkdir()
        write_job(job, submission, steps, arrays, settings)
        while left:
            write_steps(job, left)
            process = sandbox.launch(WORKER, job, scratch, log_file, settings["threads"])
            try:
                done = _collect(process, left, observations, on_step)
            finally:
                process.stop()
            if observations[left[done - 1].id].status in DEADLY:
                dead.add(left[done - 1].id)
            left = left[done:]
            for step in list(left):
                if dead & set(step.needs):
                    dead.add(step.id)  # it is not run, so nor is what needs it
                    left.remove(step)
    return observations


def _collect(
    process: Any,
    steps: Sequence[Step],
    observations: dict[str, Observation],
    on_step: Callable[[str], None],
) -> int:
    """Read one process's frames until it ends or fails; return how many steps it came to."""
    frames: queue.Queue = queue.Queue(maxsize=64)
    stop = threading.Event()
    threading.Thread(target=_read, args=(process.frames, frames, stop), daemon=True).start()
    start_up = 60.0  # importing torch, from a cold disk
    try:
        for count, step in enumerate(steps, start=1):
            seen = observations[step.id]
            on_step(step.id)
            started = time.monotonic()
            deadline = started + step.seconds + start_up
            start_up = 0.0
            try:
                _fill(seen, frames, deadline)
            except queue.Empty:
                seen.status = "timeout"
                seen.error = {"message": f"{step.seconds:.0f} seconds"}
            except EOFError:
                seen.status = "crash"
                seen.error = {"message": _ending(process.wait(5))}
            except Garbage as error:
                seen.status = "garbage"
                seen.error = {"message": str(error)}
            seen.seconds = time.monotonic() - started
            if seen.status in DEADLY:
                return count
        return len(steps)
    finally:
        stop.set()


def _fill(seen: Observation, frames: queue.Queue, deadline: float) -> None:
    """Take one step's frames off the queue, up to its `done`."""
    total = 0
    for _ in range(MAX_STEP_FRAMES):
        frame = frames.get(timeout=max(0.001, deadline - time.monotonic()))
        if isinstance(frame, Exception):
            raise frame
        header, payload = frame
        if header.get("step") != seen.step:
            raise Garbage(f"a frame of step {str(header.get('step'))[:40]!r}")
        total += len(payload)
        if total > MAX_STEP_BYTES:
            raise Garbage(f"over {MAX_STEP_BYTES >> 20} MiB of output")
        if "done" in header:
            seen.status = "error" if seen.error else "ok"
            return
        if "error" in header:
            error = header["error"] if isinstance(header["error"], dict) else {}
            seen.error = {k: str(error.get(k, "")) for k in ("type", "message", "where")}
        elif "dtype" in header:
            seen.arrays[str(header.get("name"))] = _array(header, payload)
        elif "value" in header:
            seen.values[str(header.get("name"))] = header["value"]
        else:
            raise Garbage("a frame of no known kind")
    raise Garbage(f"over {MAX_STEP_FRAMES} frames")


def _array(header: dict[str, Any], payload: bytes) -> np.ndarray:
    """Read an array whose size is what its bytes say."""
    shape, dtype = header.get("shape"), header["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Garbage("an array of unknown type")
    if not isinstance(shape, list) or len(shape) > 4 or any(type(n) is not int for n in shape):
        raise Garbage("an array of impossible shape")
    # NumPy multiplies the sizes of an empty array too.
    if min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) > MAX_STEP_BYTES:
        raise Garbage("an array of impossible shape")
    if math.prod(shape) * DTYPES[dtype] != len(payload):
        raise Garbage("an array that is not as long as it announces")
    return np.frombuffer(payload, dtype=dtype).reshape(shape)


def _read(stream: BinaryIO, frames: queue.Queue, stop: threading.Event) -> None:
    """Parse frames off a stream, in a thread so that a silent worker can be timed out."""
    with stream:
        try:
            for frame in _frames(stream):
                if not _put(frames, frame, stop):
                    return
            _put(frames, EOFError(), stop)
        except (Garbage, OSError, ValueError) as error:
            _put(frames, error if isinstance(error, Garbage) else Garbage(str(error)), stop)


def _put(frames: queue.Queue, item: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            frames.put(item, timeout=0.2)
            return True
        except queue.Full:
            continue
    return False


def _frames(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    while line := stream.readline(MAX_HEADER):
        if len(line) < MAX_HEADER and not line.endswith(b"\n"):
            return  # it ended in the middle: a crash, not an answer
        try:
            header = json.loads(line)
        except (ValueError, RecursionError):
            raise Garbage("a line that is not a frame") from None
        size = header.get("nbytes") if isinstance(header, dict) else None
        if type(size) is not int or not 0 <= size <= MAX_STEP_BYTES:
            raise Garbage("a frame of impossible size")
        payload = stream.read(size)
        if len(payload) != size:
            return
        yield header, payload


def _ending(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "it closed its output"
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    if sys.platform == "win32" and status > 2**31:
        return f"crashed with status {status:#x}"
    return f"exit status {status}"
