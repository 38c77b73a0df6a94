"""Takes in a hand-in, a folder, `.zip`, `.tar` or `.tar.gz`: copies it to the grader's own folder.

Covered: finding the four modules, the size and count limits, the digest, filling in the given
files. Not covered: running any of it (`run.py`). Nothing of a hand-in is imported or unpickled
here, and archives are unpacked member by member by our own walk, never by `extractall`.
"""

import hashlib
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MODULES = ("data_loader", "language_model", "trainer", "inference")
GIVEN = ("checkpoint.py", "config.py", "regularization.py")
SUFFIXES = (".py", ".safetensors", ".pt", ".pth", ".json", ".toml", ".txt")
MAX_FILES = 500
MAX_BYTES = 512 * 2**20
# What the readers of archives raise for damage, encryption (RuntimeError) and compression methods
# that they do not know (NotImplementedError, a RuntimeError too).
UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
Opener = Callable[[], BinaryIO]


class SubmissionError(Exception):
    """The hand-in cannot be read at all. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Submission:
    """A hand-in, copied.

    `root` is the copy's folder that holds the modules, `missing` the modules that are not there,
    `digest` the SHA-256 over names and contents of what was handed in.
    """

    name: str
    root: Path
    digest: str
    missing: tuple[str, ...]

    def weights(self, corpus: str) -> str | None:
        """The file with the trained weights for `corpus`, None where there is none."""
        stem = "checkpoint" if corpus == "wikitext2" else f"checkpoint.{corpus}"
        names = (f"{stem}.safetensors", f"{stem}.pt", f"{stem}.pth")
        return next((name for name in names if (self.root / name).is_file()), None)

    def has(self, module: str) -> bool:
        """Whether the hand-in holds the module (rather than the kit having filled it in)."""
        return (self.root / f"{module}.py").is_file()


def take(source: Path, into: Path, given: Path | None = None) -> Submission:
    """Copy a hand-in and find its parts.

    Args:
        source: folder or archive.
        into: an empty folder of the grader's own.
        given: folder with the given files (`checkpoint.py`, …), which are filled in where the
            hand-in lacks them: to hand in the four modules and the weights is enough.

    Raises:
        SubmissionError: it is not there, not readable, too large, or holds none of the modules.
    """
    if not source.exists():
        raise SubmissionError(
            f"there is no {source}",
            "give SUBMISSION= a folder, or the .tar, .tar.gz or .zip that `make handin` writes",
        )
    digest = hashlib.sha256()
    try:
        with sorted_members(source) as members:
            if len(members) > MAX_FILES or sum(size for _, size, _ in members) > MAX_BYTES:
                raise SubmissionError(
                    f"the hand-in holds over {MAX_FILES} files or {MAX_BYTES >> 20} MiB",
                    "hand in what `make handin` packs: modules and weights, no corpus, no runs",
                )
            for name, size, open_member in members:
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with open_member() as file, target.open("xb") as copy:
                    digest.update(f"{name}\0{size}\0".encode())
                    copy_exactly(file, copy, size, digest)
    except UNREADABLE as error:
        raise SubmissionError(
            f"{source.name} cannot be read: {error}",
            "pack it again with `make handin`, or hand in a folder",
        ) from error
    root = find_root(into)
    if root is None:
        raise SubmissionError(
            "none of data_loader.py, language_model.py, trainer.py, inference.py is there",
            "they have to stand at the top of the hand-in or one folder down",
        )
    missing = tuple(m for m in MODULES if not (root / f"{m}.py").is_file())
    if given is not None:
        for name in GIVEN:
            if (given / name).is_file() and not (root / name).exists():
                (root / name).write_bytes((given / name).read_bytes())
    name = source.resolve().name
    for ending in (".tar.gz", ".tgz", ".tar", ".zip"):
        name = name.removesuffix(ending)
    return Submission(name, root, digest.hexdigest(), missing)


def find_root(folder: Path) -> Path | None:
    """The folder that holds most of the modules: `folder` itself, or one folder down."""

    def count(candidate: Path) -> int:
        return sum((candidate / f"{m}.py").is_file() for m in MODULES)

    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    best = max([folder, *inner], key=count)
    return best if count(best) else None


def copy_exactly(source: BinaryIO, target: BinaryIO, size: int, digest: "hashlib._Hash") -> None:
    """Copy `size` bytes; an archive that announces less than it holds is an error.

    Raises:
        ValueError: the member holds fewer or more bytes than it announces.
    """
    left = size
    while chunk := source.read(min(left + 1, 1 << 20)):
        left -= len(chunk)
        if left < 0:
            break
        digest.update(chunk)
        target.write(chunk)
    if left:
        raise ValueError("a file is not as large as it announces")


@contextmanager
def sorted_members(source: Path) -> Iterator[list[tuple[str, int, Opener]]]:
    """Give `(name, size, open)` of each file that is wanted, in order of name."""
    with ExitStack() as opened:
        if source.is_dir():
            yield _chosen(folder_members(source))
        elif zipfile.is_zipfile(source):
            yield _chosen(zip_members(opened.enter_context(zipfile.ZipFile(source))))
        elif tarfile.is_tarfile(source):
            yield _chosen(tar_members(opened.enter_context(tarfile.open(source))))
        else:
            raise SubmissionError(
                f"{source.name} is neither a folder nor a .zip, .tar or .tar.gz",
                "pack it with `make handin`",
            )


def _chosen(members: Iterator[tuple]) -> list[tuple[str, int, Opener]]:
    listed, names = [], set()
    for count, (name, size, open_member) in enumerate(members, start=1):
        if count > 20 * MAX_FILES:
            raise ValueError("it has too many members")
        path = PurePosixPath(name)
        if not wanted(path):
            continue
        # Twins that differ in case or in the form of an accent only are one file on some systems
        # and two on others.
        key = unicodedata.normalize("NFC", str(path)).casefold()
        if key in names:
            raise ValueError(f"{path.name} is there twice")
        names.add(key)
        listed.append((str(path), size, open_member))
    return sorted(listed, key=lambda member: member[0])


def wanted(path: PurePosixPath) -> bool:
    """Whether a member is of a kind that a submission is made of, under a plain relative name."""
    parts = path.parts
    if path.is_absolute() or not parts or len(parts) > 6:
        return False
    if any(p == ".." or p.startswith((".", "__MACOSX", "__pycache__")) for p in parts):
        return False
    if any("\\" in p or ":" in p or not p.isprintable() or len(p) > 100 for p in parts):
        return False
    return path.suffix in SUFFIXES


def folder_members(folder: Path) -> Iterator[tuple]:
    """Plain files below a folder; links are not followed."""
    for base, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__pycache__")))
        for file in sorted(files):
            path = Path(base) / file
            info = path.lstat()
            if stat.S_ISREG(info.st_mode):
                yield path.relative_to(folder).as_posix(), info.st_size, _opener(path)


def _opener(path: Path) -> Opener:
    # The file may change between the look and the copy: a link put in its place is not followed.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return lambda: os.fdopen(os.open(path, flags), "rb")


def zip_members(archive: zipfile.ZipFile) -> Iterator[tuple]:
    """Plain files of a zip."""
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not info.is_dir() and kind in (0, stat.S_IFREG):
            yield info.filename, info.file_size, lambda info=info: archive.open(info)


def tar_members(archive: tarfile.TarFile) -> Iterator[tuple]:
    """Plain files of a tar, compressed or not; links and devices are left out."""
    for info in archive:
        if info.isreg() and not info.issparse():
            name = info.name.removeprefix("./")
            yield name, info.size, lambda info=info: archive.extractfile(info)
