"""Writes the grades of a class as CSV: for a spreadsheet, for Canvas, for Gradescope.

Covered: a row for each student, also of a group; no grade is an empty cell, never 0; what strangers
wrote starts no formula; a student with two different grades gets neither in the importers' files,
and `grades.csv` says so. Not covered: uploading anything, letter grades, late penalties.

`grades.csv` begins with a byte-order mark: without it Excel takes UTF-8 for the system's old
character set, and spoils names. The other two are for importers, which need none and may trip on
it; open those in a spreadsheet only to look.

`grades.canvas.csv` follows Canvas's own importer (canvas-lms, lib/gradebook_importer.rb):
`Student` and `ID` come first, `SIS User ID` and `SIS Login ID` third and fourth, then `Section`; a
first cell `Points Possible` marks the second row. A student is looked up by Canvas's own number in
`ID` (known from a download of Canvas only), then by the SIS ID, for which the student number is
taken, then by the login, for which the e-mail address is, then by the name. The assignment goes
by its title, which is made where there is none. An empty cell leaves an ungraded student so, but
takes a grade away that Canvas already holds: look at the changes it shows before they are made.

`grades.gradescope.csv` has the words of Gradescope's own export of scores: names, `SID`, `Email`,
`Total Score`, `Max Points`. No public description of an import of scores into an assignment was
found, nor was one tried; where a course's Gradescope offers it, match the columns by hand.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..files import atomic_write
from ..report.text import line
from .roll import Row, Student

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
COLUMNS = (
    "name",
    "id",
    "email",
    "handin",
    "score",
    "max_score",
    "prediction_nll",
    "generation_nll",
    "official",
    "checks_failed",
    "flags",
    "reason",
)
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
GRADESCOPE = ("Name", "SID", "Email", "Total Score", "Max Points")
Cell = str | float | None


def write(
    rows: Sequence[Row], folder: Path, assignment: str = "Language modelling"
) -> tuple[Path, ...]:
    """Write the three files, each whole or not at all; return their paths.

    Args:
        rows: the class.
        folder: is made where it is not there.
        assignment: title of Canvas's column.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "grades.csv": (plain(rows), "utf-8-sig"),
        "grades.canvas.csv": (canvas(rows, assignment), "utf-8"),
        "grades.gradescope.csv": (gradescope(rows), "utf-8"),
    }
    for name, (table, encoding) in tables.items():
        with atomic_write(folder / name) as file:
            file.write(_csv(table).encode(encoding))
    return tuple(folder / name for name in tables)


def plain(rows: Sequence[Row]) -> list[list[Cell]]:
    """Everything about each student, under `COLUMNS`."""
    table: list[list[Cell]] = [list(COLUMNS)]
    doubtful = _doubtful(rows)
    for row, student in _students(rows):
        result, entry = row.result, row.entry
        metrics = result.metrics if result else {}
        failed = [check.id for check in result.checks if check.passed is False] if result else []
        flags = [flag.id for flag in result.flags] if result else []
        reasons = [] if result else [row.reason or entry.reason]
        if _who(student) in doubtful:
            handins = ", ".join(doubtful[_who(student)])
            reasons.append(f"different grades in {handins}: enter by hand which one counts")
        table.append(
            [
                student.name,
                student.id,
                student.email,
                entry.key,
                _score(row),
                result.max_score if result else None,
                metrics.get("prediction_nll"),
                metrics.get("generation_nll"),
                ("yes" if result.official else "no") if result else None,
                " ".join(failed),
                " ".join(flags),
                ". ".join(filter(None, reasons)),
            ]
        )
    return table


def canvas(rows: Sequence[Row], assignment: str) -> list[list[Cell]]:
    """What Canvas's gradebook takes."""
    most = Counter(row.result.max_score for row in rows if row.result).most_common(1)
    table: list[list[Cell]] = [[*CANVAS, assignment]]
    doubtful = _doubtful(rows)
    table.append(["Points Possible", "", "", "", "", most[0][0] if most else None])
    for row, student in _students(rows):
        # A student of that name would set the points of the assignment.
        name = student.name.replace("Points Possible", "points possible")
        grade = None if _who(student) in doubtful else _score(row)
        table.append([name, student.canvas, student.id, student.email, "", grade])
    return table


def gradescope(rows: Sequence[Row]) -> list[list[Cell]]:
    """Scores under the names of Gradescope's own export."""
    table: list[list[Cell]] = [list(GRADESCOPE)]
    doubtful = _doubtful(rows)
    for row, student in _students(rows):
        most = row.result.max_score if row.result else None
        grade = None if _who(student) in doubtful else _score(row)
        table.append([student.name, student.id, student.email, grade, most])
    return table


def _students(rows: Iterable[Row]) -> Iterable[tuple[Row, Student]]:
    return ((row, student) for row in rows for student in row.entry.students)


def _who(student: Student) -> str:
    """What tells a student from others of the same name; "" where nothing does."""
    return student.id or student.email.casefold() or student.canvas


def _doubtful(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The hand-ins of those who have different grades in several."""
    grades: dict[str, dict[str, float | None]] = {}
    for row, student in _students(rows):
        if _who(student):
            grades.setdefault(_who(student), {})[row.entry.key] = _score(row)
    return {who: list(mine) for who, mine in grades.items() if len(set(mine.values())) > 1}


def _score(row: Row) -> float | None:
    return row.result.score if row.result else None


def _csv(table: Iterable[Iterable[Cell]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([_cell(cell) for cell in cells] for cells in table)
    return file.getvalue()


def _cell(value: Cell) -> str:
    """A cell that a spreadsheet shows and does not carry out; numbers of the kit's stay numbers."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    # Where a spreadsheet splits at semicolons, one would begin a new cell.
    text = line(value).replace(";", ",")
    return f"'{text}" if text.startswith(FORMULA) else text
