"""Reads what platforms give out: Gradescope's export, Autolab's and Canvas's downloads, unpacked.

Covered: Gradescope's `submission_metadata.yml`, whose keys are Ruby's symbols; Autolab's
`<email>_<version>_<file>`; Canvas's `<name>_[LATE_]<user>_<submission>_<file>`. Not covered: their
APIs, deadlines, earlier versions of a hand-in.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..report.figures import count
from ..report.text import line
from .entry import (
    ARCHIVE,
    Found,
    RollError,
    Student,
    clean,
    found,
    hand_in,
    is_folder,
    is_plain,
    text_of,
    visible,
)

METADATA = "submission_metadata.yml"
MAX_DEPTH = 50  # of Gradescope's list, which has seven or so
AUTOLAB = re.compile(r"(?P<email>[^@/]+@[^@_/]+)_(?P<version>\d{1,9})_(?P<file>.+)", re.DOTALL)
CANVAS = re.compile(
    r"(?P<name>[^_]+)_(LATE_)?(?P<user>\d+)_(?P<number>\d+)_(?P<file>.+)", re.DOTALL
)


def gradescope(folder: Path) -> list[Found]:
    """The entries of an export, at `folder` or one folder down; none where it is no export."""
    # One down only where nothing else is: a student may hand in a file of that name too.
    inner = [Path(item.path) for item in visible(folder) if is_folder(item)]
    places = [folder, *(inner if len(inner) == 1 else [])]
    root = next((place for place in places if is_plain(place / METADATA)), None)
    if root is None:
        return []
    listed = _metadata(root / METADATA)
    folders = {item.name: item for item in visible(root) if item.is_dir() or item.is_symlink()}
    entries = []
    for name in dict.fromkeys([*listed, *folders]):
        students = _submitters(listed.get(name)) or (Student(clean(name)),)
        path, reason = None, f"the export lists it, but has no folder {line(name, 60)}"
        if name in folders:
            path, reason = hand_in(folders[name])
        entries.append(Found(name, name, path, students, reason))
    return entries


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
        text = text_of(path)
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
        return "" if value in ("~", "null") or not isinstance(value, str) else clean(value)

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


def autolab(items: Iterable[os.DirEntry[str]]) -> tuple[list[Found], list[os.DirEntry[str]]]:
    """The newest hand-in of each student by Autolab's names, and what is not named so."""
    newest: dict[str, tuple[int, os.DirEntry[str]]] = {}
    others = []
    for item in items:
        named = None if is_folder(item) else AUTOLAB.fullmatch(item.name)
        if named is None:
            others.append(item)
            continue
        email, version = named["email"], int(named["version"])
        if email not in newest or version > newest[email][0]:
            newest[email] = version, item
    entries = []
    for email, (_, item) in newest.items():
        student = Student(clean(email), email=clean(email))
        entries.append(found(item, email, (student,)))
    return entries, others


def canvas(items: Iterable[os.DirEntry[str]]) -> tuple[list[Found], list[os.DirEntry[str]]]:
    """One entry for each user by Canvas's names, whose files lie side by side; and what is left.

    Numbers stand in other names too, so it is Canvas's only where every archive is named so.
    """
    items = list(items)
    users: dict[tuple[str, str], list[os.DirEntry[str]]] = {}
    others = []
    for item in items:
        named = None if is_folder(item) else CANVAS.fullmatch(item.name)
        if named is None:
            others.append(item)
        else:
            users.setdefault((named["name"], named["user"]), []).append(item)
    if any(ARCHIVE.search(item.name) and not is_folder(item) for item in others):
        return [], items
    entries = []
    for (name, user), files in users.items():
        students = (Student(clean(name), canvas=user),)
        archives = [item for item in files if ARCHIVE.search(item.name)]
        if len(archives) == 1:
            entries.append(found(archives[0], f"{name}_{user}", students))
        elif archives:  # which one counts, or whether they are one person's at all, is not known
            others += archives
        else:
            reason = (
                f"{count(len(files), 'file')} and no archive: put all that is one hand-in into "
                "a folder of its own"
            )
            entries.append(Found(files[0].name, f"{name}_{user}", None, students, reason))
    return entries, others
