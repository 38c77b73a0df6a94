"""A class's entries: who, what was handed in, and under which key.

Covered: keys that stay and fit any system, folders that stand for a lone archive, links (never
followed). Not covered: what the names on a platform mean (`exports.py`, `roll.py`).
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..report.text import line
from ..result import Result

MAX_LIST = 64 * 2**20  # bytes of a list; a large class's is a few MiB
MAX_NAME = 100  # characters of a person's name, number or address
MAX_KEY = 60
ARCHIVE = re.compile(
    r"(\.tar\.(gz|bz2|xz)|\.(zip|tar|tgz|tbz2|txz|gz|bz2|xz|rar|7z))\Z", re.IGNORECASE
)
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
class Found:
    """An entry before it has a key: `name` is that of its folder or file."""

    name: str
    key: str
    path: Path | None
    students: tuple[Student, ...]
    reason: str = ""


def hand_in(item: os.DirEntry[str]) -> tuple[Path | None, str]:
    """The path to grade, or None with the reason: a lone archive stands for its folder."""
    if item.is_symlink():
        return (
            None,
            "it is a symbolic link, and links are not followed: put the hand-in itself there",
        )
    if not item.is_dir():
        return Path(item.path), ""
    try:
        inside = visible(Path(item.path))
    except OSError as error:
        return None, f"the folder cannot be read: {error.strerror}"
    if not inside:
        return None, "the folder is empty"
    if len(inside) == 1 and ARCHIVE.search(inside[0].name) and not is_folder(inside[0]):
        return hand_in(inside[0])
    return Path(item.path), ""


def found(item: os.DirEntry[str], key: str, students: tuple[Student, ...]) -> Found:
    """What a folder or file comes to, for the students whose it is."""
    path, reason = hand_in(item)
    return Found(item.name, key, path, students, reason)


def keyed(entries: list[Found]) -> Iterable[Entry]:
    """Give each entry its key; those that would share one get a digest of their names.

    A key is made of its own entry's name only, so that who comes later takes no one's key.
    """
    keys = [_safe(one.key) for one in entries]
    amounts = Counter(key.casefold() for key in keys)
    taken: set[str] = set()
    for one, key in zip(entries, keys, strict=True):
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
    raw = unicodedata.normalize("NFC", name).encode(errors="surrogatepass")
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return f"{key[: MAX_KEY - 9].strip('.-_') or 'hand-in'}-{digest}"


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in order of name, but for hidden files and what packers leave."""
    with os.scandir(folder) as items:
        left = (item for item in items if not item.name.startswith((".", "__MACOSX")))
        return sorted(left, key=lambda item: item.name)


def is_folder(item: os.DirEntry[str]) -> bool:
    """Whether it is a folder and no link to one."""
    return item.is_dir(follow_symlinks=False)


def is_plain(path: Path) -> bool:
    """Whether it is a file and no link to one."""
    return path.is_file() and not path.is_symlink()


def clean(text: str) -> str:
    """A stranger's text on one line, with nothing in it that acts or hides."""
    return line(text, MAX_NAME)


def text_of(path: Path) -> str:
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
