"""Reads who handed in what: a folder of hand-ins becomes a list of entries.

Covered: Gradescope's export, Autolab's, Canvas's and Moodle's downloads, unpacked; a plain folder
of hand-ins, with or without a `students.csv`. Names are strangers' text and come out clean; nothing
is opened through a link. Not covered: what a hand-in holds (`submission.py`), who should have
handed in but stands in no list, deadlines.
"""

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..report.text import line
from ..result import Result
from ..submission import MODULES

METADATA, ROLL = "submission_metadata.yml", "students.csv"
COLUMNS = ("handin", "name", "id", "email")
MAX_LIST = 64 * 2**20  # bytes of either file; a large class's are a few MiB
MAX_DEPTH = 50  # of Gradescope's list, which has seven or so
MAX_NAME = 100  # characters of a person's name, number or address
MAX_KEY = 60
ARCHIVE = re.compile(
    r"(\.tar\.(gz|bz2|xz)|\.(zip|tar|tgz|tbz2|txz|gz|bz2|xz|rar|7z))\Z", re.IGNORECASE
)
# `ann@uni.edu_3_handin.tar`; `leeann_LATE_340934_208490284_handin.tar`; `Ann Lee_42_assign…`
AUTOLAB = re.compile(r"(?P<email>[^@/]+@[^@_/]+)_(?P<version>\d{1,9})_(?P<file>.+)", re.DOTALL)
CANVAS = re.compile(
    r"(?P<name>[^_]+)_(LATE_)?(?P<user>\d+)_(?P<number>\d+)_(?P<file>.+)", re.DOTALL
)
MOODLE = re.compile(r"(?P<name>.+)_\d+_assignsubmission_file_?", re.DOTALL)
# Names that Windows keeps for devices, whatever follows the dot.
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z", re.IGNORECASE)


class RollError(Exception):
    """The folder cannot be read as a class; the message says what was seen and what to do."""


@dataclass(frozen=True)
class Student:
    """A person; "" where something is not known. `canvas` is Canvas's own number of the user."""

    name: str
    id: str = ""
    email: str = ""
    canvas: str = ""


@dataclass(frozen=True)
class Entry:
    """A hand-in, or the want of one.

    `key` is unique in the class, fit for a folder's name on any system, and the same in each run;
    `path` a folder or archive, None where there is none, for the `reason`; `students` one or more.
    """

    key: str
    path: Path | None
    students: tuple[Student, ...]
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """An entry with its result, or with the reason why there is no grade."""

    entry: Entry
    result: Result | None
    reason: str = ""


@dataclass(frozen=True)
class _Found:
    """An entry before it has a key: `name` is that of its folder or file."""

    name: str
    key: str
    path: Path | None
    students: tuple[Student, ...]
    reason: str = ""


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
        found = _gradescope(folder) or _children(folder)
    except OSError as error:
        raise RollError(f"{folder} cannot be read: {error.strerror}") from error
    if not found:
        names = sorted(os.listdir(folder))
        holds = ", ".join(line(name, 40) for name in names[:5]) + ", …" * (len(names) > 5)
        raise RollError(
            f"{folder} holds no hand-in ({holds or 'it is empty'}). Expected: a folder or an "
            f"archive (.zip, .tar, .tar.gz) for each hand-in, or an unpacked export with {METADATA}"
        )
    return tuple(sorted(_keyed(found), key=lambda entry: (entry.key.casefold(), entry.key)))


def _gradescope(folder: Path) -> list[_Found]:
    """The entries of an export, at `folder` or one folder down; none where it is no export."""
    inner = (item.path for item in _visible(folder) if _is_folder(item))
    root = next(
        (root for root in (folder, *map(Path, inner)) if _is_plain(root / METADATA)),
        None,
    )
    if root is None:
        return []
    listed = _metadata(root / METADATA)
    folders = {item.name: item for item in _visible(root) if item.is_dir() or item.is_symlink()}
    found = []
    for name in dict.fromkeys([*listed, *folders]):
        students = _submitters(listed.get(name)) or (Student(_clean(name)),)
        path, reason = None, f"the export lists it, but has no folder {line(name, 60)}"
        if name in folders:
            path, reason = _hand_in(folders[name])
        found.append(_Found(name, name, path, students, reason))
    return found


def _metadata(path: Path) -> dict[str, Any]:
    """What an export says of each folder: texts, lists and mappings, no other objects."""
    try:
        import yaml
    except ImportError as error:
        raise RollError(
            f"{path} is YAML, for which PyYAML is needed: pip install 'PyYAML>=6'"
        ) from error
    # The base loader knows texts only: no tag makes an object, and a student number keeps its
    # leading zeros, which the safe loader would read as an octal number.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        text = _text(path)
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # the C loader would exhaust the stack, and end the grader
                raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        listed = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RollError(
            f"{path} is broken: {line(str(error))}. Download the export again"
        ) from error
    if not isinstance(listed, dict):
        seen = "nothing" if listed is None else f"a {type(listed).__name__}"
        raise RollError(
            f"{path} holds {seen} and no submissions; "
            "`submission_<number>:` with `:submitters:` below it is expected"
        )
    return {name: said for name, said in listed.items() if isinstance(name, str) and name}


def _submitters(said: Any) -> tuple[Student, ...]:
    """The people of one submission; none where they are not listed as expected."""

    def part(person: dict[Any, Any], key: str) -> str:
        value = person.get(f":{key}", person.get(key, ""))
        return "" if value in ("~", "null") or not isinstance(value, str) else _clean(value)

    people = said.get(":submitters", said.get("submitters")) if isinstance(said, dict) else None
    students = (
        Student(part(person, "name"), part(person, "sid"), part(person, "email"))
        for person in (people if isinstance(people, list) else ())
        if isinstance(person, dict)
    )
    known = dict.fromkeys(student for student in students if student != Student(""))
    return tuple(
        student if student.name else replace(student, name=student.email or student.id)
        for student in known
    )


def _children(folder: Path) -> list[_Found]:
    """The entries of a folder whose children are the hand-ins."""
    items = [item for item in _visible(folder) if item.name != ROLL]
    modules = {f"{module}.py" for module in MODULES} & {item.name for item in items}
    if modules:
        raise RollError(
            f"{folder} is one hand-in: it holds {', '.join(sorted(modules))}. Name the folder that "
            "holds the hand-ins of all, or grade this one with `make grade`"
        )
    autolab, others = _autolab(items)
    files = [item for item in others if not _is_folder(item)]
    canvas = [item for item in files if CANVAS.fullmatch(item.name)]
    if canvas and all(item in canvas or not ARCHIVE.search(item.name) for item in files):
        others = [item for item in others if item not in canvas]
    else:
        canvas = []
    found = autolab + _canvas(canvas)
    for item in others:
        if item.is_symlink() or _is_folder(item) or ARCHIVE.search(item.name):
            stem = _stem(item)
            known = MOODLE.fullmatch(stem)
            student = Student(_clean(known["name"] if known else stem))
            found.append(_Found(item.name, stem, *_told(item, (student,))))
    return _with_names(found, folder / ROLL)


def _autolab(items: Iterable[os.DirEntry[str]]) -> tuple[list[_Found], list[os.DirEntry[str]]]:
    """The newest hand-in of each student by Autolab's names, and what is not named so."""
    newest: dict[str, tuple[int, os.DirEntry[str]]] = {}
    others = []
    for item in items:
        named = None if _is_folder(item) else AUTOLAB.fullmatch(item.name)
        if named is None:
            others.append(item)
            continue
        email, version = named["email"], int(named["version"])
        if email not in newest or version > newest[email][0]:
            newest[email] = version, item
    found = []
    for email, (_, item) in newest.items():
        student = Student(_clean(email), email=_clean(email))
        found.append(_Found(item.name, email, *_told(item, (student,))))
    return found, others


def _canvas(items: Iterable[os.DirEntry[str]]) -> list[_Found]:
    """One entry for each user of Canvas, whose files lie side by side."""
    users: dict[tuple[str, str], list[os.DirEntry[str]]] = {}
    for item in items:
        named = CANVAS.fullmatch(item.name)
        if named is not None:
            users.setdefault((named["name"], named["user"]), []).append(item)
    found = []
    for (name, user), files in users.items():
        students = (Student(_clean(name), canvas=user),)
        archives = [item for item in files if ARCHIVE.search(item.name)]
        if len(archives) == 1:
            found.append(_Found(archives[0].name, f"{name}_{user}", *_told(archives[0], students)))
        else:
            reason = (
                f"{len(files)} files with {len(archives)} archives among them, one is expected; "
                "put those that count into a folder of their own"
            )
            found.append(_Found(files[0].name, f"{name}_{user}", None, students, reason))
    return found


def _with_names(found: list[_Found], path: Path) -> list[_Found]:
    """Take names and numbers from students.csv; who stands there only has handed in nothing."""
    if not (path.exists() or path.is_symlink()):
        return found
    listed: dict[str, list[tuple[int, Student]]] = {}
    absent = []
    for place, (handin, student) in enumerate(_listed(path)):
        if handin:
            listed.setdefault(_folded(handin), []).append((place, student))
        else:
            absent.append(student)
    named, used = [], set()
    for one in found:
        names = {_folded(one.name), _folded(one.key)}  # with the ending and without
        used |= names
        rows = sorted(
            (row for name in names for row in listed.get(name, [])), key=lambda row: row[0]
        )
        canvas = one.students[0].canvas
        students = dict.fromkeys(replace(student, canvas=canvas) for _, student in rows)
        named.append(replace(one, students=tuple(students) or one.students))
    for handin, rows in listed.items():
        if handin not in used:
            reason = f"{ROLL} names {line(handin, 60)}, which is not in the folder"
            people = tuple(dict.fromkeys(student for _, student in rows))
            named.append(_Found(handin, handin, None, people, reason))
    for student in absent:
        name = student.id or student.email or student.name
        named.append(_Found(name, name, None, (student,), f"{ROLL} names no hand-in"))
    return named


def _listed(path: Path) -> list[tuple[str, Student]]:
    """The rows of students.csv: hand-in and student."""
    if not _is_plain(path):
        raise RollError(f"{path} is a link or no file; put the list itself there")
    try:
        text = _text(path)
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
        handin, *parts = (_clean(cells.get(column, "")) for column in COLUMNS)
        name, number, email = parts
        if handin or any(parts):
            people.append((handin, Student(name or email or number or handin, number, email)))
    return people


def _hand_in(item: os.DirEntry[str]) -> tuple[Path | None, str]:
    """The path to grade, or None with the reason: a lone archive stands for its folder."""
    if item.is_symlink():
        return (
            None,
            "it is a symbolic link, and links are not followed: put the hand-in itself there",
        )
    if not item.is_dir():
        return Path(item.path), ""
    try:
        inside = _visible(Path(item.path))
    except OSError as error:
        return None, f"the folder cannot be read: {error.strerror}"
    if not inside:
        return None, "the folder is empty"
    if len(inside) == 1 and ARCHIVE.search(inside[0].name) and not _is_folder(inside[0]):
        return _hand_in(inside[0])
    return Path(item.path), ""


def _told(
    item: os.DirEntry[str], students: tuple[Student, ...]
) -> tuple[Path | None, tuple[Student, ...], str]:
    path, reason = _hand_in(item)
    return path, students, reason


def _keyed(found: list[_Found]) -> Iterable[Entry]:
    """Give each entry its key; those that would share one get a digest of their names.

    A key is made of its own entry's name only, so that who comes later takes no one's key.
    """
    keys = [_safe(one.key) for one in found]
    amounts = Counter(key.casefold() for key in keys)
    taken: set[str] = set()
    for one, key in zip(found, keys, strict=True):
        if amounts[key.casefold()] > 1:
            key = _marked(key, one.name)
        number, plain = 1, key
        while key.casefold() in taken:  # equal names, such as a student listed twice
            number += 1
            key = f"{plain}-{number}"
        taken.add(key.casefold())
        yield Entry(key, one.path, one.students, "" if one.path else one.reason)


def _safe(name: str) -> str:
    """A name in letters, digits and `.-_@`; one that had to change carries a digest of itself."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    key = re.sub(r"[^A-Za-z0-9._@-]+", "-", plain).strip(".-_")
    if DEVICES.match(key):
        key = f"x-{key}"
    return key if key == name and len(key) <= MAX_KEY else _marked(key, name)


def _marked(key: str, name: str) -> str:
    raw = unicodedata.normalize("NFC", name).encode(errors="surrogateescape")
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return f"{key[: MAX_KEY - 9].strip('.-_') or 'hand-in'}-{digest}"


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in order of name, but for hidden files and what packers leave."""
    with os.scandir(folder) as items:
        left = (item for item in items if not item.name.startswith((".", "__MACOSX")))
        return sorted(left, key=lambda item: item.name)


def _is_folder(item: os.DirEntry[str]) -> bool:
    return item.is_dir(follow_symlinks=False)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _stem(item: os.DirEntry[str]) -> str:
    return item.name if _is_folder(item) else ARCHIVE.sub("", item.name) or item.name


def _folded(name: str) -> str:
    """For comparing names: some systems keep an accent as a character of its own."""
    return unicodedata.normalize("NFC", _clean(name)).casefold()


def _clean(text: str) -> str:
    return line(text, MAX_NAME)


def _text(path: Path) -> str:
    """A file's text.

    Raises:
        RollError: it is too large.
        ValueError: it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(MAX_LIST + 1)
    if len(data) > MAX_LIST:
        raise RollError(f"{path} is over {MAX_LIST >> 20} MiB, too large for a list of a class")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
