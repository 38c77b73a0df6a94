"""Takes in a hand-in, a folder, `.zip`, `.tar` or `.tar.gz`: copies it to the grader's own folder.

Covered: finding the four modules, the size and count limits, the digest, filling in the given
files. Not covered: reading archives (`archive.py`), running any of it (`run.py`). Nothing of a
hand-in is imported or unpickled here.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import archive
from .archive import Member
from .faults import Fault

MODULES = ("data_loader", "language_model", "trainer", "inference")
GIVEN = ("checkpoint.py", "config.py", "regularization.py")
SUFFIXES = (".py", ".safetensors", ".pt", ".pth", ".json", ".toml", ".txt")
MAX_FILES = 500
MAX_MEMBERS = 20 * MAX_FILES  # of any kind: folders, links, files that are not wanted
MAX_BYTES = 512 * 2**20
MAX_NAME = 100  # bytes of a file's or folder's name
ONLY_NEEDED = "hand in what `make handin` packs: modules and weights, no corpus, no runs"


class SubmissionError(Exception):
    """The hand-in cannot be read at all. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Submission:
    """A hand-in, copied.

    `root` is the copy's folder that holds the modules, `missing` the modules that are not there,
    `digest` the SHA-256 over names and contents of what was handed in, `files` that of each file
    below `root`, by name.
    """

    name: str
    root: Path
    digest: str
    missing: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)

    def weights(self, corpus: str) -> str | None:
        """The file with the trained weights for `corpus`, None where there is none."""
        stem = "checkpoint" if corpus == "wikitext2" else f"checkpoint.{corpus}"
        names = (f"{stem}.safetensors", f"{stem}.pt", f"{stem}.pth")
        return next((name for name in names if (self.root / name).is_file()), None)

    def receipt(self, corpus: str) -> dict[str, str]:
        """Return the SHA-256 of the trained weights' file, and one over all other files.

        `code` is that of the lines that `sha256sum` prints of those, in order of name.
        """
        weights = self.weights(corpus)
        lines = [
            f"{digest}  {name}\n" for name, digest in sorted(self.files.items()) if name != weights
        ]
        receipt = {"code": hashlib.sha256("".join(lines).encode()).hexdigest()}
        return receipt | ({"weights": self.files[weights]} if weights in self.files else {})

    def has(self, module: str) -> bool:
        """Whether the hand-in holds the module (rather than the kit having filled it in)."""
        return (self.root / f"{module}.py").is_file()


def take(source: Path, into: Path, given: Mapping[str, bytes] | None = None) -> Submission:
    """Copy a hand-in and find its parts.

    Args:
        source: folder or archive.
        into: an empty folder of the grader's own.
        given: the given files (`checkpoint.py`, …), which are filled in where the hand-in lacks
            them: to hand in the four modules and the weights is enough.

    Raises:
        SubmissionError: it is not there, not readable, too large, or holds none of the modules.
        Fault: there is no room for the copy.
    """
    if not source.exists():
        raise SubmissionError(
            f"there is no {source}",
            "give SUBMISSION= a folder, or the .tar, .tar.gz or .zip that `make handin` writes",
        )
    files = {}
    try:
        with sorted_members(source) as members:
            for name, size, read in members:
                own = hashlib.sha256()
                copy_exactly(hashed(read(), own), into / name, size)
                files[name] = own.hexdigest()
        digest = digest_of(files)
    except archive.TooLarge as error:
        raise SubmissionError(f"{source.name}: {error}", ONLY_NEEDED) from error
    except archive.UNREADABLE as error:
        # The system's own words name folders of the grader's.
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SubmissionError(
            f"{source.name} cannot be read: {said[:200]}",
            "pack it again with `make handin`, or hand in a folder",
        ) from error
    root = find_root(into)
    if root is None:
        raise SubmissionError(
            "none of data_loader.py, language_model.py, trainer.py, inference.py is there",
            "they have to stand at the top of the hand-in or one folder down",
        )
    missing = tuple(m for m in MODULES if not (root / f"{m}.py").is_file())
    for name, data in (given or {}).items():
        if not (root / name).exists():
            (root / name).write_bytes(data)
    name = source.resolve().name
    for ending in (".tar.gz", ".tgz", ".tar", ".zip"):
        name = name.removesuffix(ending)
    below = {
        (into / file).relative_to(root).as_posix(): own
        for file, own in files.items()
        if (into / file).is_relative_to(root)
    }
    return Submission(name, root, digest, missing, below)


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 over names and the SHA-256 of each file, in the order that they have."""
    told = "".join(f"{name}\0{digest}\0" for name, digest in files.items())
    return hashlib.sha256(told.encode()).hexdigest()


def hashed(pieces: Iterable[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    """Hash what passes by."""
    for piece in pieces:
        digest.update(piece)
        yield piece


def find_root(folder: Path) -> Path | None:
    """The folder that holds most of the modules: `folder` itself, or one folder down."""

    def count(candidate: Path) -> int:
        return sum((candidate / f"{m}.py").is_file() for m in MODULES)

    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    best = max([folder, *inner], key=count)
    return best if count(best) else None


def copy_exactly(pieces: Iterable[bytes], target: Path, size: int) -> None:
    """Write `size` bytes to a new file; a member that holds fewer or more is an error.

    Raises:
        ValueError: the member is not as large as it announces.
        Fault: the file cannot be written.
    """
    with _writing():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = target.open("xb")
    with copy:
        left = size
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                break
            with _writing():
                copy.write(piece)
        with _writing():
            copy.flush()
    if left:
        raise ValueError("a file is not as large as it announces")


@contextmanager
def _writing() -> Iterator[None]:
    """What cannot be written is the grader's own fault: a full disk must not cost a grade."""
    try:
        yield
    except OSError as error:
        raise Fault(f"the hand-in cannot be copied: {error}") from error


@contextmanager
def sorted_members(source: Path) -> Iterator[list[Member]]:
    """Give name, size and content of each file that is wanted, in order of name.

    Raises:
        SubmissionError: it is no hand-in, or too large.
    """
    with archive.members(source) as members:
        if members is None:
            raise SubmissionError(
                f"{source.name} is neither a folder nor a .zip, .tar or .tar.gz",
                "pack it with `make handin`",
            )
        chosen = _chosen(members)
        if len(chosen) > MAX_FILES or sum(size for _, size, _ in chosen) > MAX_BYTES:
            raise SubmissionError(
                f"the hand-in holds over {MAX_FILES} files or {MAX_BYTES >> 20} MiB", ONLY_NEEDED
            )
        yield chosen


def _chosen(members: Iterator[Member | None]) -> list[Member]:
    listed: dict[str, Member] = {}
    for count, member in enumerate(members, start=1):
        if count > MAX_MEMBERS:
            raise ValueError(f"it has too many members: over {MAX_MEMBERS}")
        if member is None or not wanted(path := PurePosixPath(member[0])):
            continue
        # Twins that differ in case or in the form of an accent only are one file on some systems
        # and two on others.
        key = unicodedata.normalize("NFC", str(path)).casefold()
        if key in listed:
            raise ValueError(f"{path.name} is there twice")
        listed[key] = (str(path), *member[1:])
    for key in listed:
        if any(str(parent) in listed for parent in PurePosixPath(key).parents):
            raise ValueError("a name is both that of a file and of a folder")
    return sorted(listed.values(), key=lambda member: member[0])


def wanted(path: PurePosixPath) -> bool:
    """Whether a member is of a kind that a submission is made of, under a plain relative name."""
    parts = path.parts
    if path.is_absolute() or not parts or len(parts) > archive.MAX_DEPTH:
        return False
    if any(p == ".." or p.startswith((".", "__MACOSX", "__pycache__")) for p in parts):
        return False
    # Printable leaves out controls, line ends, surrogates and what turns the direction of text.
    if any("\\" in p or ":" in p or not p.isprintable() for p in parts):
        return False
    return path.suffix in SUFFIXES and all(len(p.encode()) <= MAX_NAME for p in parts)
