"""Grades hand-ins one after the other in a warm process: what a worker of a cluster does.

Covered: hand-ins that come as bytes, where workers share no file system; one exam, one sandbox
and one process to fork from for all. Not covered: where workers run (`cluster.py`), what becomes of
results (`drive.py`).
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import grade, referee, sandbox
from ..exam import Exam
from ..faults import Fault
from ..files import temporary_folder
from ..run import MAX_LOG
from ..sandbox.warm import ForkServer
from ..submission import SubmissionError, digest_of, sorted_members

ATTEMPTS = 2  # a machine may be so busy that a worker does not come up in time
# Of a grade's environment.
LENT = ("kit", "python", "torch", "numpy", "referee", "grader", "given")


@dataclass(frozen=True)
class Task:
    """A hand-in to be graded; `key` is the ledger's, `name` what it is called.

    `path` is where it lies, for a worker on the same machine; else `data` are an archive's bytes.
    """

    key: str
    name: str
    path: Path | None = None
    data: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What came of a task: a result as JSON with what was printed, or why there is none."""

    key: str
    result: str = ""
    fault: str = ""
    log: bytes = b""


@dataclass(frozen=True)
class Terms:
    """How a class is graded, the referee apart, which each worker has with its kit."""

    exam: Exam
    sandbox: str
    official: bool
    given: dict[str, bytes]
    versions: str


class Marker:
    """Grades tasks on the same terms."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @cached_property
    def _exam(self) -> Exam:
        told = self.terms.exam
        judge = told.referee or referee.load(told.corpus.name)
        return Exam(told.corpus, told.fixtures, judge, told.rules, told.notice)

    @cached_property
    def _box(self) -> sandbox.Chosen:
        return sandbox.choose(self.terms.sandbox, self.terms.official, ForkServer())

    def prepare(self) -> None:
        """Get ready.

        Raises:
            Fault: nothing can be graded here: this is another version, or no sandbox will do.
        """
        if versions(self._exam.referee, self.terms.given) != self.terms.versions:
            raise Fault(
                "a worker has another version of the kit, of Python or of its packages than the "
                "command: set it up with the same constraints.txt"
            )
        _ = self._box

    def __call__(self, task: Task) -> Answer:
        """Grade a hand-in; a fault of the grader's is an answer too."""
        self.prepare()
        for _ in range(ATTEMPTS):
            try:
                return self._graded(task)
            except Fault as error:
                fault = str(error)
            except Exception as error:  # noqa: BLE001 - one hand-in must not stop a class
                fault = f"the grader failed: {type(error).__name__}: {error}"
        return Answer(task.key, fault=f"{fault} ({ATTEMPTS} attempts)")

    def _graded(self, task: Task) -> Answer:
        with temporary_folder() as folder:
            source, log = task.path or folder / task.name, folder / "output.txt"
            try:
                if task.path is None:
                    source.write_bytes(task.data)
                log.touch()
            except OSError as error:
                raise Fault(f"the hand-in cannot be written: {error}") from error
            result = grade.grade(source, self._exam, log=log, given=self.terms.given, box=self._box)
            return Answer(task.key, result.to_json(), log=log.read_bytes()[:MAX_LOG])


def versions(judge: "referee.Referee", given: dict[str, bytes]) -> str:
    """Return a digest of all that a grade depends on beside hand-in, fixtures and rubric."""
    facts = grade.environment(judge, sandbox.practice(), given)
    told = {name: facts[name] for name in LENT}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def pack(source: Path) -> tuple[str, bytes]:
    """Return a hand-in as an archive: the ending of its name and its bytes.

    An archive is sent as it is. Of a folder only what a submission is made of is.

    Raises:
        OSError: it cannot be read.
        SubmissionError: it is a folder that holds too much.
    """
    if not source.is_dir():
        return "".join(source.suffixes[-2:]) or ".bin", source.read_bytes()
    packed = io.BytesIO()
    with sorted_members(source) as members, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, size, read in members:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(b"".join(read())))
    return ".tar", packed.getvalue()


def fingerprint(source: Path) -> str:
    """Return the digest of a hand-in that grading it will give, without a copy of it.

    Of what cannot be read as a hand-in, one of what there is.

    Raises:
        OSError: the file system does not let it be read.
    """
    files = {}
    try:
        with sorted_members(source) as members:
            for name, _, read in members:
                own = hashlib.sha256()
                for piece in read():
                    own.update(piece)
                files[name] = own.hexdigest()
        return digest_of(files)
    except SubmissionError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - whatever an odd archive raises
        reason = type(error).__name__
    digest = hashlib.sha256(reason.encode())
    if source.is_file():
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return f"unreadable/{digest.hexdigest()}"
