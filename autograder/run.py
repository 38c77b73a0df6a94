"""Runs a submission over a list of steps and brings back what it did.

Covered: the job's files, time-outs, crashes and restarts, reading the worker's frames without
believing them, keeping a little of what it prints. Not covered: what the observations mean
(`checks/`, `score.py`), keeping the process away from things (`sandbox/`).

A step that crashes or hangs the process costs that step only: the next one starts in a new process.
"""

import json
import math
import os
import queue
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import sandbox
from .faults import Fault
from .files import remove_folder, temporary_folder
from .sandbox import Job, Process, Sandbox
from .submission import Submission

WORKER = Path(__file__).with_name("worker.py")
DTYPES = {"<f4": 4, "<i8": 8}
DEADLY = ("timeout", "crash", "garbage")  # the process does not outlive these
MAX_HEADER = 1 << 18
# Of a whole run, all its processes. Prediction on WikiText-2 takes 220 MB.
MAX_BYTES = 512 << 20
MAX_LINES = 16 << 20  # of headers, which as Python objects take twenty times as much
TOO_MUCH = f"over {MAX_BYTES >> 20} MiB of output, or of words about it"
MAX_STEP_FRAMES = 20_000
MAX_DEPTH = 20  # of the JSON in a header; Python's own functions give up on what is deeper
MAX_LOG = 1 << 20
SELECTS = os.name == "posix"  # elsewhere select is for sockets
START_UP = 120.0  # seconds for importing torch, from a cold disk


@dataclass(frozen=True)
class Step:
    """One thing to ask of a submission: `arguments` are strings, `seconds` the wall-clock limit.

    `needs` names steps whose code this one runs again: where one of them hung or crashed the
    process, this one is not run, for it would only do the same. `inputs` names arrays that the
    submission is not to see before this step. Nothing that it prints is kept from a `hidden` step
    on, for it might print those.
    """

    id: str
    kind: str
    arguments: tuple[str, ...] = ()
    seconds: float = 60.0
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    hidden: bool = False


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


class Allowance:
    """What a run's processes may still write, so that the grader's memory is bounded."""

    def __init__(self) -> None:
        self.bytes, self.lines = MAX_BYTES, MAX_LINES

    def take(self, line: int, payload: int) -> None:
        """Use some of it, before it is read.

        Raises:
            Garbage: there is not so much left.
        """
        self.bytes -= payload
        self.lines -= line
        if self.spent:
            raise Garbage(TOO_MUCH)

    @property
    def spent(self) -> bool:
        """Whether more was asked for than there was."""
        return self.bytes < 0 or self.lines < 0


class WorkerFault(Fault):
    """The worker did not come to the submission's code: a fault of the grader's own."""


def run(
    submission: Submission,
    steps: Sequence[Step],
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
    log: Path,
    on_step: Callable[[str], None] = lambda _: None,
    box: Sandbox | None = None,
) -> dict[str, Observation]:
    """Run all steps; each one's observation, by the step's id.

    Args:
        submission: what `submission.take` returned.
        steps: in the order in which to run them.
        arrays: inputs, by the name that the worker asks for. Targets never go here.
        settings: the rest of spec.json.
        log: file for what the submission prints, its first MiB.
        on_step: called with a step's id when it begins.
        box: where the process is started; a plain process if None.

    Raises:
        WorkerFault: the worker could not be started, whatever the submission is.
    """
    box = box or sandbox.practice()
    observations = {step.id: Observation(step.id) for step in steps}
    left, dead = list(steps), set()
    with temporary_folder() as home, log.open("wb") as log_file:
        work = Work(home, submission, arrays, settings)
        printed, allowance = Printed(log_file), Allowance()
        work.write_spec(steps)
        while left:
            work.prepare(left)
            process = box.launch(work.job)
            printed.follow(process.log)
            try:
                done = _collect(process, left, observations, on_step, work, printed, allowance)
            finally:
                process.stop()
                printed.end()
            if observations[left[done - 1].id].status in DEADLY:
                dead.add(left[done - 1].id)
            left = left[done:]
            for step in list(left):
                if dead & set(step.needs):
                    dead.add(step.id)  # it is not run, so nor is what needs it
                    left.remove(step)
            if allowance.spent:  # another process could not even say that it has come up
                for step in left:
                    observations[step.id].status = "garbage"
                    observations[step.id].error = {"message": TOO_MUCH}
                break
    return observations


class Work:
    """The folders of one run: `job` says where they are."""

    def __init__(
        self,
        home: Path,
        submission: Submission,
        arrays: dict[str, np.ndarray],
        settings: dict[str, Any],
    ) -> None:
        worker = home / "worker.py"
        shutil.copy(WORKER, worker)
        self.job = Job(
            worker, home / "inputs", submission.root, home / "scratch", settings["threads"]
        )
        self.job.inputs.mkdir()
        self._arrays, self._settings = arrays, settings

    def write_spec(self, steps: Sequence[Step]) -> None:
        """Write spec.json, which describes all arrays, and the arrays that no step waits for."""
        described = {
            name: {"dtype": array.dtype.str, "shape": array.shape}
            for name, array in self._arrays.items()
        }
        self._write("spec.json", json.dumps({**self._settings, "arrays": described}).encode())
        kept = {name for step in steps for name in step.inputs}
        self.release(self._arrays.keys() - kept)

    def prepare(self, steps: Sequence[Step]) -> None:
        """Write which steps the next process is to run, and give it an empty working folder."""
        remove_folder(self.job.scratch)
        self.job.scratch.mkdir()
        listed = [[step.id, step.kind, *step.arguments] for step in steps]
        self._write("steps.json", json.dumps(listed).encode())

    def release(self, names: Iterable[str]) -> None:
        """Let the submission see some arrays."""
        for name in names:
            self._write(f"{name}.bin", np.ascontiguousarray(self._arrays[name]).tobytes())

    def _write(self, name: str, data: bytes) -> None:
        # Renamed when it is whole, because a worker that waits for it reads it at once.
        unfinished = self.job.inputs / f".{name}"
        unfinished.write_bytes(data)
        unfinished.chmod(0o644)
        os.replace(unfinished, self.job.inputs / name)


class Printed:
    """Keeps the first of what processes print, until it is told to keep no more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._room = MAX_LOG
        self._last = b""
        self._stream: BinaryIO | None = None
        self._lock = threading.Lock()

    def follow(self, stream: BinaryIO) -> None:
        """Read a process's output to its end, in a thread, so that a full pipe stops nobody."""
        self._stream = stream
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            if SELECTS:
                while _readable(stream) and self._take_what_is_there(stream):
                    pass
                with self._lock:
                    self._stream = None
            else:
                while data := stream.read1(1 << 16):
                    with self._lock:
                        self._keep(data)

    def _take_what_is_there(self, stream: BinaryIO) -> bool:
        """Read once if something is there; return whether more may come."""
        with self._lock:
            if not _readable(stream, 0):  # else the lock would be held until something is
                return True
            data = stream.read1(1 << 16)
            self._keep(data)
            return bool(data)

    def _keep(self, data: bytes) -> None:
        kept = data[: self._room]
        self._room -= len(kept)
        self._last = (self._last + kept)[-2000:]
        self._file.write(kept)

    def keep_no_more(self) -> None:
        """Take what has been printed by now, and drop whatever comes later."""
        while SELECTS and self._room and (stream := self._stream):
            if stream.closed or not _readable(stream, 0) or not self._take_what_is_there(stream):
                break
        with self._lock:
            self._room = 0

    def end(self) -> str:
        """Wait for the end of the output; return its last line."""
        self._thread.join(5)  # whoever else held the pipe is dead
        lines = self._last.decode(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else "it printed nothing"


def _readable(stream: BinaryIO, seconds: float | None = None) -> bool:
    """Whether there is something to read, or the end, within some seconds or at last."""
    return bool(select.select([stream], [], [], seconds)[0])


def _collect(
    process: Process,
    steps: Sequence[Step],
    observations: dict[str, Observation],
    on_step: Callable[[str], None],
    work: Work,
    printed: Printed,
    allowance: Allowance,
) -> int:
    """Read one process's frames until it ends or fails; return how many steps it came to."""
    frames: queue.Queue = queue.Queue(maxsize=64)
    stop = threading.Event()
    reading = (process.frames, frames, stop, allowance)
    threading.Thread(target=_read, args=reading, daemon=True).start()
    try:
        _await_ready(process, frames, printed)
        for count, step in enumerate(steps, start=1):
            seen = observations[step.id]
            on_step(step.id)
            if step.hidden:
                printed.keep_no_more()
            # Only now, when all that was to be answered without them has been.
            work.release(step.inputs)
            started = time.monotonic()
            try:
                _fill(seen, frames, started + step.seconds)
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


def _await_ready(process: Process, frames: queue.Queue, printed: Printed) -> None:
    """Wait for the worker's word that it has come up, before it runs anything of a submission.

    Raises:
        WorkerFault: it does not come.
    """
    try:
        frame = frames.get(timeout=START_UP)
    except queue.Empty:
        raise WorkerFault(f"the worker did not come up within {START_UP:.0f} s") from None
    if not isinstance(frame, tuple) or frame[0].get("ready") is not True:
        ending = _ending(process.wait(5))
        raise WorkerFault(f"the worker did not come up ({ending}): {printed.end()}")


def _fill(seen: Observation, frames: queue.Queue, deadline: float) -> None:
    """Take one step's frames off the queue, up to its `done`."""
    for _ in range(MAX_STEP_FRAMES):
        frame = frames.get(timeout=max(0.001, deadline - time.monotonic()))
        if isinstance(frame, Exception):
            raise frame
        header, payload = frame
        if header.get("step") != seen.step:
            raise Garbage(f"a frame of step {str(header.get('step'))[:40]!r}")
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
    if min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) > MAX_BYTES:
        raise Garbage("an array of impossible shape")
    if math.prod(shape) * DTYPES[dtype] != len(payload):
        raise Garbage("an array that is not as long as it announces")
    return np.frombuffer(payload, dtype=dtype).reshape(shape)


def _read(
    stream: BinaryIO, frames: queue.Queue, stop: threading.Event, allowance: Allowance
) -> None:
    """Parse frames off a stream, in a thread so that a silent worker can be timed out."""
    with stream:
        try:
            for frame in _frames(stream, allowance):
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


def _frames(stream: BinaryIO, allowance: Allowance) -> Iterator[tuple[dict[str, Any], bytes]]:
    while line := stream.readline(MAX_HEADER):
        if len(line) < MAX_HEADER and not line.endswith(b"\n"):
            return  # it ended in the middle: a crash, not an answer
        try:
            header = json.loads(line)
        except (ValueError, RecursionError):
            raise Garbage("a line that is not a frame") from None
        if not isinstance(header, dict) or _deep(header):
            raise Garbage("a line that is not a frame")
        size = header.get("nbytes")
        if type(size) is not int or size < 0:
            raise Garbage("a frame of impossible size")
        allowance.take(len(line), size)
        payload = stream.read(size)
        if len(payload) != size:
            return
        yield header, payload


def _deep(value: Any) -> bool:
    """Whether a JSON value has more than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        within = [
            v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)
        ]
        level = [inner for values in within for inner in values]
        if not level:
            return False
    return True


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
