"""Where a class is graded: in this process, on this machine's cores, or on a Dask cluster.

Covered: shards of work, a bounded number of them under way, workers and schedulers that die. Not
covered: what a worker does (`shard.py`), what becomes of answers (`drive.py`).
"""

import contextlib
import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, Security, wait
from distributed.client import CancelledError
from distributed.comm.core import CommClosedError
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.scheduler import KilledWorker

from ..faults import Fault
from .shard import Answer, Marker, Task, Terms

SHARD = 8  # hand-ins
SHARES = 8  # shards a worker, so that none has long to do when the others are done
SHARD_BYTES = 64 * 2**20
UNDER_WAY = 2  # shards a worker
PATIENCE = 60.0  # seconds without a scheduler
MOST_LOSSES = 5  # of a scheduler, with no answer between
LOOK = 2.0
PLUGIN = "lm-kit"
LOST = (CommClosedError, OSError, TimeoutError)
MARKERS: dict[str, Marker] = {}  # of a worker's process

Say = Callable[[str], None]


class Untold(Exception):
    """A worker does not know what to grade: its scheduler is another than the one that was told."""


class GraderPlugin(WorkerPlugin):
    """Makes a worker ready to grade on some terms."""

    name = PLUGIN

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def setup(self, worker: Any) -> None:
        """Note the terms; the first task reads the rest."""
        MARKERS[self.terms.versions] = Marker(self.terms)


def grade_shard(versions: str, shard: list[Task]) -> list[Answer]:
    """Grade hand-ins in a worker's process.

    Raises:
        Fault: nothing can be graded here.
        Untold: this worker came after the terms were told.
    """
    if versions not in MARKERS:
        raise Untold
    return [MARKERS[versions](task) for task in shard]


def shards(tasks: Iterable[Task], total: int, workers: int) -> Iterator[list[Task]]:
    """Put tasks together, by number and by size: a few at a time, and fewer where there are few."""
    most = max(1, min(SHARD, total // (SHARES * workers)))
    shard: list[Task] = []
    for task in tasks:
        if shard and sum(len(t.data) for t in shard) + len(task.data) > SHARD_BYTES:
            yield shard
            shard = []
        shard.append(task)
        if len(shard) == most:
            yield shard
            shard = []
    if shard:
        yield shard


class Cluster:
    """Grades on a cluster: one of this machine, or an existing one by its scheduler's address."""

    def __init__(self, terms: Terms, workers: int, scheduler: str | None, say: Say) -> None:
        """Start or join a cluster.

        Raises:
            Fault: there is none at the address.
        """
        self._terms, self._scheduler, self._say = terms, scheduler, say
        self._local: LocalCluster | None = None
        self._client: Client | None = None
        # What it has to say of a scheduler that is gone is said here.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        if scheduler is None:
            settings = {
                "distributed.scheduler.allowed-failures": 2,
                "distributed.worker.daemon": True,
                "distributed.admin.log-format": "%(message)s",
            }
            with dask.config.set(settings):
                self._local = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    # Who can connect to a scheduler runs code as its user, which on a shared
                    # machine anybody can who can reach a port of it.
                    security=Security.temporary(),
                    memory_limit=0,  # a worker that is near some bound is not to be killed
                    silence_logs="CRITICAL",
                )
        self._connect()

    def _connect(self) -> None:
        """Connect, and tell every worker, present and to come, what is graded."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self._local is not None:
                    self._client = Client(self._local)
                elif self._scheduler.endswith(".json"):
                    if not Path(self._scheduler).is_file():  # Dask would wait for it without end
                        raise FileNotFoundError("there is no such file")
                    self._client = Client(scheduler_file=self._scheduler, timeout=10)
                else:
                    self._client = Client(self._scheduler, timeout=10)
                self._client.register_plugin(GraderPlugin(self._terms))
                return
            except LOST as error:
                self._disconnect()
                if time.monotonic() > deadline:
                    where = self._scheduler or "this machine"
                    raise Fault(f"no scheduler answers at {where}: {error}") from error
                time.sleep(1)
            except (TypeError, ValueError, RuntimeError) as error:
                self._disconnect()
                raise Fault(
                    f"{self._scheduler or 'this machine'} cannot be used: {error}. For tls:// give "
                    "certificates by DASK_CONFIG; the scheduler has to be started where the kit "
                    "can be imported: python -m autograder grade-scheduler"
                ) from error

    def _disconnect(self) -> None:
        if self._client is not None:
            with contextlib.suppress(*LOST):
                self._client.close(timeout=2)
            self._client = None

    def _workers(self) -> int:
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def grade(self, tasks: Iterable[Task], total: int) -> Iterator[Answer]:
        """Grade `total` tasks, which are read as they are needed; answers come in any order.

        Raises:
            Fault: nothing can be graded, or the scheduler is gone for good.
        """
        fresh, again = shards(tasks, total, max(1, self._workers())), deque()
        under_way: dict[Future, list[Task]] = {}
        waiting, losses = False, 0
        while True:
            try:
                room = UNDER_WAY * max(1, self._workers()) - len(under_way)
                for _ in range(room):
                    shard = again.popleft() if again else next(fresh, None)
                    if shard is None:
                        break
                    again.appendleft(shard)  # so that it is not lost if it cannot be submitted
                    under_way[self._submit(shard)] = shard
                    again.popleft()
                if not under_way:
                    return
                if not self._workers() and not waiting:
                    self._say("waiting for workers")
                waiting = not self._workers()
                with contextlib.suppress(TimeoutError, CancelledError):
                    wait(list(under_way), timeout=LOOK, return_when="FIRST_COMPLETED")
                if self._client.status != "running":
                    raise CommClosedError("the scheduler is gone")
                for future in [future for future in under_way if future.done()]:
                    shard = under_way[future]
                    answers = self._answers(future, shard, again)
                    del under_way[future]
                    losses = 0
                    yield from answers
            except LOST as error:
                losses += 1
                if losses > MOST_LOSSES:
                    raise Fault(f"the scheduler is lost again and again: {error}") from error
                self._say(f"{error}: connecting again")
                # What it had answered and not told is graded again.
                again.extend(under_way.values())
                under_way.clear()
                self._disconnect()
                self._connect()

    def _submit(self, shard: list[Task]) -> Future:
        with warnings.catch_warnings():
            # Dask would have data laid out beforehand; these are read once, by one worker.
            warnings.filterwarnings("ignore", "Sending large graph")
            return self._client.submit(grade_shard, self._terms.versions, shard, pure=False)

    def _answers(self, future: Future, shard: list[Task], again: deque) -> list[Answer]:
        """Return what a shard came to; put it into `again` where it is to be graded once more."""
        if future.status == "finished":
            return future.result()
        if future.status != "error":  # cancelled, or lost with the scheduler
            raise CommClosedError("a new scheduler knows nothing of what was under way")
        error = future.exception()
        if isinstance(error, Untold):
            raise CommClosedError("a new scheduler was not told what to grade")
        if not isinstance(error, KilledWorker):
            raise error if isinstance(error, Fault) else Fault(f"a worker failed: {error!r}")
        if len(shard) > 1:  # one of them ends whoever grades it: each by itself
            again.extend([task] for task in shard)
            return []
        return [Answer(shard[0].key, fault="the grader's process ended whenever it graded this")]

    def close(self) -> None:
        """Leave the cluster; end one of this machine."""
        self._disconnect()
        if self._local is not None:
            self._local.close(timeout=10)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cores() -> int:
    """Return how many workers this machine has cores for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
