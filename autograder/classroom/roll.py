"""Reads who handed in what: a folder of hand-ins becomes a list of entries.

Covered: Gradescope's export, Autolab's, Canvas's and Moodle's downloads, unpacked; a plain folder
of hand-ins, with or without a `students.csv`. Names are strangers' text and come out clean; nothing
is opened through a link. Not covered: what a hand-in holds (`submission.py`), who should have
handed in but stands in no list, deadlines.
"""

import csv
import io
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from ..report.text import line
from ..submission import MODULES
from .entry import (
    ARCHIVE,
    Entry,
    Found,
    RollError,
    Row,
    Student,
    clean,
    found,
    is_folder,
    is_plain,
    keyed,
    text_of,
    visible,
)
from .exports import METADATA, autolab, canvas, gradescope

__all__ = ["Entry", "RollError", "Row", "Student", "read"]

ROLL = "students.csv"
COLUMNS = ("handin", "name", "id", "email")
MOODLE = re.compile(r"(?P<name>.+)_\d+_assignsubmission_file_?", re.DOTALL)


def read(folder: Path) -> tuple[Entry, ...]:
    """List the hand-ins of a class, in order of their keys.

    Raises:
        RollError: it is no folder, is a single hand-in, holds none, or a list in it is broken.
    """
    if not folder.is_dir():
        seen = "is a file" if folder.exists() else "is not there"
        raise RollError(
            f"{folder} {seen}; a folder of hand-ins is expected. "
            "Unpack what the platform gave you, and name the folder that it made"
        )
    try:
        entries = gradescope(folder) or _children(folder)
    except OSError as error:
        raise RollError(f"{folder} cannot be read: {error.strerror}") from error
    if not entries:
        names = sorted(os.listdir(folder))
        holds = ", ".join(line(name, 40) for name in names[:5]) + ", …" * (len(names) > 5)
        raise RollError(
            f"{folder} holds no hand-in ({holds or 'it is empty'}). Expected: a folder or an "
            f"archive (.zip, .tar, .tar.gz) for each hand-in, or an unpacked export with {METADATA}"
        )
    return tuple(sorted(keyed(entries), key=lambda entry: (entry.key.casefold(), entry.key)))


def _children(folder: Path) -> list[Found]:
    """The entries of a folder whose children are the hand-ins."""
    items = [item for item in visible(folder) if item.name != ROLL]
    modules = {f"{module}.py" for module in MODULES} & {item.name for item in items}
    if modules:
        raise RollError(
            f"{folder} is one hand-in: it holds {', '.join(sorted(modules))}. Name the folder that "
            "holds the hand-ins of all, or grade this one with `make grade`"
        )
    entries, others = autolab(items)
    more, others = canvas(others)
    entries += more
    for item in others:
        if item.is_symlink() or is_folder(item) or ARCHIVE.search(item.name):
            stem = _stem(item)
            known = MOODLE.fullmatch(stem)
            student = Student(clean(known["name"] if known else stem))
            entries.append(found(item, stem, (student,)))
    return _with_names(entries, folder / ROLL)


def _with_names(entries: list[Found], path: Path) -> list[Found]:
    """Take names and numbers from students.csv; who stands there only has handed in nothing."""
    if not (path.exists() or path.is_symlink()):
        return entries
    listed: dict[str, list[tuple[int, Student]]] = {}
    absent = []
    for place, (handin, student) in enumerate(_listed(path)):
        if handin:
            listed.setdefault(_folded(handin), []).append((place, student))
        else:
            absent.append(student)
    named, used = [], set()
    for one in entries:
        names = {_folded(one.name), _folded(one.key)}  # with the ending and without
        used |= names
        rows = sorted(
            (row for name in names for row in listed.get(name, [])), key=lambda row: row[0]
        )
        user = one.students[0].canvas
        students = dict.fromkeys(replace(student, canvas=user) for _, student in rows)
        named.append(replace(one, students=tuple(students) or one.students))
    for handin, rows in listed.items():
        if handin not in used:
            reason = f"{ROLL} names {line(handin, 60)}, which is not in the folder"
            people = tuple(dict.fromkeys(student for _, student in rows))
            named.append(Found(handin, handin, None, people, reason))
    for student in absent:
        name = student.id or student.email or student.name
        named.append(Found(name, name, None, (student,), f"{ROLL} names no hand-in"))
    return named


def _listed(path: Path) -> list[tuple[str, Student]]:
    """The rows of students.csv: hand-in and student."""
    if not is_plain(path):
        raise RollError(f"{path} is a link or no file; put the list itself there")
    try:
        text = text_of(path)
    except ValueError as error:
        raise RollError(f'{path}: {error}. Save it as "CSV UTF-8"') from error
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            if any(row)
        ]
    except csv.Error as error:
        raise RollError(f"{path} is no CSV: {error}") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if "handin" not in header or not {"name", "id", "email"} & set(header):
        raise RollError(
            f"{path} begins with {line(first, 80) or 'nothing'}; the first line has to name the "
            f"columns: {','.join(COLUMNS)} (handin and one more are needed)"
        )
    people = []
    for row in rows[1:]:
        cells = dict(zip(header, row, strict=False))
        handin, *parts = (clean(cells.get(column, "")) for column in COLUMNS)
        name, number, email = parts
        if handin or any(parts):
            people.append((handin, Student(name or email or number or handin, number, email)))
    return people


def _stem(item: os.DirEntry[str]) -> str:
    return item.name if is_folder(item) else ARCHIVE.sub("", item.name) or item.name


def _folded(name: str) -> str:
    """For comparing names: some systems keep an accent as a character of its own."""
    return unicodedata.normalize("NFC", clean(name)).casefold()
