"""The ledger of a class: one line a result, only ever appended to: nothing is lost or doubled.

Covered: one writer at a time, a last line that was torn, a disk that is full, the key that says
what a result is of. Not covered: network file systems without locks; what a result holds
(`result.py`).

A line is a JSON object: `key`; `of`, the digests that the key is made from; `result`, or `fault`
with the reason why there is none; `at`, the time. A later line of the same key takes its place.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..faults import Fault
from ..files import try_lock
from ..result import Result


class LedgerError(Fault):
    """The ledger cannot be used, or not be written."""


@dataclass(frozen=True)
class Graded:
    """What a result is of: the digests of the hand-in and of what it was graded against and with.

    `official` is whether it was to be an official grade.
    """

    submission: str
    fixtures: str
    rubric: str
    versions: str
    official: bool

    @property
    def key(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """One line: a result, or the reason why there is none."""

    of: Graded
    result: Result | None
    fault: str
    at: str


class Ledger:
    """An open ledger, for one process alone. `keys` are those that have a result.

    Results stay on the disk: only where each one begins is held in memory.
    """

    def __init__(self, path: Path) -> None:
        """Open a ledger, or begin one.

        Raises:
            LedgerError: another process has it open, it cannot be written, or is none.
        """
        self.path = path
        self._places: dict[str, int] = {}
        self._faults: set[str] = set()
        try:
            lock = try_lock(path.with_name(f"{path.name}.lock"))
            if lock is None:
                raise LedgerError(
                    f"another run is writing {path}: wait for it, stop it, or name another folder "
                    "with --out"
                )
            self._lock = lock
            self._file = path.open("a+b")
        except OSError as error:
            raise LedgerError(f"{path} cannot be opened: {error}") from error
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        """Note where each result is; cut off a last line that was never finished."""
        self._file.seek(0)
        place = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                found = json.loads(line)
                self._note(found["key"], place, "result" not in found)
            except (ValueError, KeyError, TypeError) as error:
                raise LedgerError(
                    f"line {number} of {self.path} is no ledger's: move the file away, or mend it"
                ) from error
            place += len(line)
        self._end = place
        self._file.truncate(place)

    def _note(self, key: str, place: int, fault: bool) -> None:
        self._places[key] = place
        (self._faults.add if fault else self._faults.discard)(key)

    @property
    def keys(self) -> set[str]:
        """What has been graded; what could not be is not among them."""
        return self._places.keys() - self._faults

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Record:
        """Read a record.

        Raises:
            KeyError: there is none.
        """
        place = self._places[key]
        self._file.seek(place)
        found = json.loads(self._file.readline())
        result = Result.from_json(json.dumps(found["result"])) if "result" in found else None
        return Record(Graded(**found["of"]), result, found.get("fault", ""), found["at"])

    def add(self, of: Graded, result: Result | None = None, fault: str = "") -> None:
        """Append a result, or the reason why there is none; it is on the disk when this returns.

        Raises:
            LedgerError: it cannot be written. The ledger is as it was.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line: dict[str, Any] = {"key": of.key, "of": asdict(of), "at": now}
        line |= {"fault": fault} if result is None else {"result": json.loads(result.to_json())}
        data = json.dumps(line, sort_keys=True).encode() + b"\n"
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file.fileno(), data[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise LedgerError(
                f"{self.path} cannot be written: {error}. What stands in it is whole; make room "
                "and run the same command again"
            ) from error
        self._note(of.key, self._end, result is None)
        self._end += len(data)

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_only(path: Path) -> Iterator[Record]:
    """Read the records of a ledger that another process may have open, in order.

    Raises:
        LedgerError: there is none, or it holds something else.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                found = json.loads(line)
                told = found.get("result")
                result = None if told is None else Result.from_json(json.dumps(told))
                yield Record(Graded(**found["of"]), result, found.get("fault", ""), found["at"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} is no ledger that can be read: {error}") from error
