"""Grades a class: what the ledger lacks is graded, then all that is asked for is written.

Covered: which hand-ins have to be graded, each answer into the ledger and into the student's
folder, the class's tables and page, what changed since the last run. Not covered: where the grading
is done (`cluster.py`), what a grade is (`grade.py`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from sys import intern

from .. import report
from ..faults import Fault
from ..files import atomic_write
from ..result import Result
from . import gradebook, page
from .entry import Entry, RollError, Row
from .ledger import Graded, Ledger, LedgerError, Record, read_only
from .shard import Answer, Task, Terms, fingerprint, pack

LEDGER, ROLL = "ledger.jsonl", "class.json"

Engine = Callable[[Iterable[Task], int], Iterator[Answer]]


@dataclass(frozen=True)
class Change:
    """A mark that is another than before, and why."""

    key: str
    before: float | None
    after: float | None
    why: str


class Rows(Sequence[Row]):
    """The class's rows, each read from the ledger when it is asked for.

    Unless they are to be `whole`, results lack what only a report shows: tables of a class hold
    those of all at once.
    """

    def __init__(
        self, entries: Sequence[Entry], keys: dict[str, str], ledger: Ledger, whole: bool = False
    ) -> None:
        self._entries, self._keys, self._ledger, self._whole = entries, keys, ledger, whole

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> Row:  # type: ignore[override]
        entry = self._entries[place]
        if entry.path is None:
            return Row(entry, None, entry.reason)
        key = self._keys.get(entry.key)
        if key is None:
            return Row(entry, None, "the hand-in cannot be opened by the grader's account")
        if key not in self._ledger:
            return Row(entry, None, "not graded yet")
        record = self._ledger[key]
        if record.result is None:
            return Row(entry, None, f"the grader's own fault: {record.fault}")
        result = replace(record.result, submission=entry.key)
        return Row(entry, result if self._whole else slim(result))

    @property
    def open(self) -> list[Row]:
        """The rows that still lack a grade, those apart that handed nothing in."""
        return [row for row in self if row.result is None and row.entry.path is not None]


class Drive:
    """One run over a class; `ledger` is open for its length."""

    def __init__(
        self, entries: Sequence[Entry], terms: Terms, out: Path, say: Callable[[str], None]
    ) -> None:
        """Begin.

        Raises:
            LedgerError: another run is under way, or the ledger cannot be used.
        """
        self.entries, self.terms, self.out, self.say = entries, terms, out, say
        self.ledger = Ledger(out / LEDGER)
        self._of: dict[str, Graded] = {}  # by the ledger's key
        self._keys: dict[str, str] = {}  # by the entry's
        self._whose: dict[str, list[Entry]] = {}  # by the ledger's
        self._before = before(out)

    def read(self, on_entry: Callable[[], None] = lambda: None) -> None:
        """Read all hand-ins, to know which have been graded."""
        for entry in self.entries:
            if entry.path is not None:
                try:
                    of = self.graded(fingerprint(entry.path))
                except OSError as error:
                    self.say(f"{entry.key} cannot be read: {error.strerror}")
                else:
                    self._of[of.key] = of
                    self._keys[entry.key] = of.key
                    self._whose.setdefault(of.key, []).append(entry)
            on_entry()

    def graded(self, submission: str) -> Graded:
        """Return what a grade on this run's terms is of."""
        exam = self.terms.exam
        return Graded(
            submission,
            exam.fixtures.digest,
            exam.rules.digest,
            self.terms.versions,
            self.terms.official,
        )

    def wanted(self, regrade: bool = False, only: Sequence[str] = ()) -> list[str]:
        """Return the ledger's keys of what has to be graded.

        Args:
            regrade: also what has been.
            only: patterns of a shell; entries whose key, or a student's name, id or email fits.

        Raises:
            RollError: a pattern fits nobody.
        """
        idle = [
            pattern for pattern in only if not any(fits(entry, [pattern]) for entry in self.entries)
        ]
        if idle:
            raise RollError(
                f"--only {','.join(idle)} fits nobody: give keys, names, ids or addresses"
            )
        return [
            key
            for key, whose in self._whose.items()
            if (regrade or key not in self.ledger.keys)
            and (not only or any(fits(entry, only) for entry in whose))
        ]

    def tasks(self, keys: Iterable[str], far: bool) -> Iterator[Task]:
        """Say what is to be graded; read it when it is needed, if workers are `far` away."""
        for key in keys:
            entry = self._whose[key][0]
            if not far:
                yield Task(key, entry.key, entry.path.resolve())
                continue
            try:
                ending, data = pack(entry.path)
            except Exception as error:  # noqa: BLE001 - it could be read a moment ago
                self.ledger.add(self._of[key], fault=f"it could not be read again: {error}")
                continue
            yield Task(key, f"{entry.key}{ending}", data=data)

    def run(
        self,
        keys: Sequence[str],
        engine: Engine,
        on_answer: Callable[[Answer], None],
        far: bool = False,
    ) -> None:
        """Grade what is wanted; each answer is in the ledger before the next is looked at.

        Args:
            keys: the ledger's.
            engine: grades tasks.
            on_answer: called with each answer.
            far: whether workers cannot be expected to see this machine's files.

        Raises:
            Fault: nothing more can be graded, or the ledger not be written.
        """
        left = set(keys)
        for answer in engine(self.tasks(keys, far), len(keys)):
            if answer.key not in left:  # graded twice, by a worker that was thought to be lost
                continue
            left.discard(answer.key)
            self._enter(answer)
            on_answer(answer)

    def _enter(self, answer: Answer) -> None:
        of = self._of[answer.key]
        if answer.fault:
            self.ledger.add(of, fault=answer.fault)
            return
        result = Result.from_json(answer.result)
        readable = not of.submission.startswith("unreadable/")
        if readable and result.submission_digest != of.submission:
            self.ledger.add(of, fault="the hand-in changed while it was read: run this again")
            return
        self.ledger.add(of, result)
        for entry in self._whose[answer.key]:
            self._write(entry, result)
            with atomic_write(self.out / entry.key / "output.txt") as file:
                file.write(answer.log)

    def _write(self, entry: Entry, result: Result) -> None:
        """Write a student's result and report, unless they are there."""
        folder = self.out / entry.key
        folder.mkdir(exist_ok=True)
        result = replace(result, submission=entry.key)
        path, text = folder / "results.json", result.to_json().encode()
        if (folder / "report.html").is_file() and path.is_file() and path.read_bytes() == text:
            return
        report.write(result, folder / "report.html")
        with atomic_write(path) as file:
            file.write(text)

    def rows(self, whole: bool = False) -> Rows:
        """Return the class as it stands in the ledger."""
        return Rows(self.entries, self._keys, self.ledger, whole)

    def finish(self, title: str, names: bool = True) -> tuple[Path, ...]:
        """Write reports that are missing, the tables and the page; return where the latter are.

        Raises:
            Fault: one cannot be written.
        """
        try:
            return self._finish(title, names)
        except OSError as error:
            raise Fault(
                f"{self.out} cannot be written: {error}. The ledger is whole: make room and run "
                "the same command again"
            ) from error

    def _finish(self, title: str, names: bool) -> tuple[Path, ...]:
        for row in self.rows(whole=True):
            if row.result is not None:
                self._write(row.entry, row.result)
        rows = self.rows()
        tables = gradebook.write(rows, self.out, title)
        page.write(rows, self.out / "class.html", title, names)
        roll = self.out / ROLL
        # Until all are graded on new terms, the last whole run is what marks are compared with.
        if not roll.exists() or all(key in self.ledger for key in self._keys.values()):
            with atomic_write(roll) as file:
                file.write(json.dumps(self._keys, indent=1, sort_keys=True).encode() + b"\n")
        return (self.out / "class.html", *tables)

    def changes(self, old: Path | None = None) -> list[Change]:
        """Return whose mark is another than in an older run, in a folder of its own or in this."""
        records = self._before if old is None else before(old, strict=True)
        found = []
        for row in self.rows():
            then = records.get(row.entry.key)
            now = self._keys.get(row.entry.key)
            if then is None or now is None or now not in self.ledger:
                continue
            record = self.ledger[now]
            marks = [r.result.score if r.result else None for r in (then, record)]
            if marks[0] != marks[1]:
                found.append(Change(row.entry.key, *marks, why(then, record)))
        return found

    def close(self) -> None:
        """Let another run have the ledger."""
        self.ledger.close()


def slim(result: Result) -> Result:
    """Return a result without texts of checks, samples and environment, in as little memory."""
    checks = tuple(
        replace(check, id=intern(check.id), title=intern(check.title), message="", hint="")
        for check in result.checks
    )
    return replace(result, checks=checks, samples=(), environment={}, notice="")


def before(folder: Path, strict: bool = False) -> dict[str, Record]:
    """Return what stood in a folder of results at the end of its last run, by entry.

    Raises:
        LedgerError: it is no such folder, if `strict`.
    """
    try:
        keys = json.loads((folder / ROLL).read_bytes())
        wanted = {key: [] for key in keys.values()}
        for entry, key in keys.items():
            wanted[key].append(entry)
        found: dict[str, Record] = {}
        for record in read_only(folder / LEDGER):
            result = record.result and slim(record.result)
            for entry in wanted.get(record.of.key, ()):
                found[entry] = replace(record, result=result)
        return found
    except (OSError, ValueError, AttributeError) as error:
        if strict:
            raise LedgerError(f"{folder} holds no results of a class: {error}") from error
        return {}


def why(then: Record, now: Record) -> str:
    """Say what is different: what was graded, against what, and which checks came out otherwise."""
    named = {
        "submission": "another hand-in",
        "fixtures": "other fixtures",
        "rubric": "another rubric",
        "versions": "other versions",
        "official": "official or not",
    }
    old, new = asdict(then.of), asdict(now.of)
    reasons = [text for name, text in named.items() if old[name] != new[name]]
    if then.result is None or now.result is None:
        return ", ".join([*reasons, "one of the two could not be graded"])
    scores = {check.id: check for check in then.result.checks}
    for check in now.result.checks:
        if not check.max_score:
            continue
        was = scores.get(check.id)
        if was is None or (was.score, was.max_score) != (check.score, check.max_score):
            points = f"{was.score:g} of {was.max_score:g}" if was else "nothing"
            reasons.append(f"{check.id}: {points} → {check.score:g} of {check.max_score:g}")
    return ", ".join(reasons)


def fits(entry: Entry, patterns: Sequence[str]) -> bool:
    """Whether an entry is one of those that patterns of a shell name."""
    texts = [entry.key]
    for student in entry.students:
        texts += [student.name, student.id, student.email]
    return any(fnmatch(text.casefold(), p.casefold()) for text in texts if text for p in patterns)
