"""Whatever is handed in is read as an independent model of the rules says, or refused in words."""

import io
import re
import tarfile
import tempfile
import unicodedata
import warnings
import zipfile
from pathlib import Path

from hypothesis import strategies as st

from autograder.submission import MAX_BYTES, MAX_FILES, MODULES, Submission, SubmissionError, take

# Folders and file names, each with whether it is wanted; the model looks them up, it has no rules.
FOLDERS = {
    "a": True,
    "A": True,
    "y" * 90: True,
    "é": True,
    "e\u0301": True,
    "b c": True,
    ".": True,
} | dict.fromkeys(
    ("..", ".git", "__pycache__", "__MACOSX", "c:", "d\\e", "\x1b[31m", "\u202e", "x" * 101), False
)
FILES = dict.fromkeys(
    ("data_loader.py", "trainer.py", "Trainer.py", "é.py", "e\u0301.py", "x.safetensors"), True
) | dict.fromkeys(("a", "x.sh", ".x.py", "x.py\n", "x.pkl", "x\u200b.py", "é" * 60 + ".py"), False)
KINDS = {"file": True, "symlink": False, "hard link": False, "pipe": False, "folder": False}
TYPES = {
    "file": tarfile.REGTYPE,
    "symlink": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
}


def mostly(names: dict[str, bool]) -> st.SearchStrategy:
    """Draw a name; those that are wanted four times as often as each other one."""
    return st.sampled_from([name for name, good in names.items() for _ in range(4 if good else 1)])


PATHS = st.tuples(
    st.sampled_from(("", "", "", "/", "./")), st.lists(mostly(FOLDERS), max_size=2), mostly(FILES)
)
MEMBERS = st.tuples(
    st.lists(st.just((("", [], "data_loader.py"), b"# code", "file")), max_size=1),
    st.lists(st.tuples(PATHS, st.binary(max_size=20), mostly(KINDS)), max_size=6),
).map(lambda parts: parts[0] + parts[1])
PACKINGS = ("tar", "ustar", "gnu", "tar.gz", "zip", "stored zip")


def name_of(path: tuple[str, list[str], str]) -> str:
    """Return the name that a path stands for in an archive."""
    start, folders, file = path
    return start + "/".join([*folders, file])


def modelled(members: list) -> dict[str, bytes] | None:
    """Return what has to lie in the grader's folder; None where the hand-in has to be refused."""
    kept: dict[tuple[str, ...], bytes] = {}
    for path, data, kind in members:
        start, folders, file = path
        if KINDS[kind] and start != "/" and FILES[file] and all(FOLDERS[f] for f in folders):
            parts = (*(f for f in folders if f != "."), file)
            if parts in kept:
                return None
            kept[parts] = data
    alike = [unicodedata.normalize("NFD", "/".join(parts).lower()) for parts in kept]
    if len(set(alike)) < len(alike) or any(b.startswith(f"{a}/") for a in alike for b in alike):
        return None
    modules = {f"{module}.py" for module in MODULES}
    if not any(len(parts) <= 2 and parts[-1] in modules for parts in kept):
        return None
    return {"/".join(parts): data for parts, data in kept.items()}


def pack(path: Path, members: list, packing: str) -> None:
    """Write an archive with Python's own writers."""
    if "zip" in packing:
        method = zipfile.ZIP_STORED if packing == "stored zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # twins
            for place, data, kind in members:
                info = zipfile.ZipInfo(name_of(place))
                mode = {"file": 0o106755, "symlink": 0o120777, "folder": 0o040755}.get(
                    kind, 0o10644
                )
                info.external_attr = mode << 16
                archive.writestr(info, data, method)
        return
    layout = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT}
    if max((len(name_of(path).encode()) for path, _, _ in members), default=0) > 150:
        layout.pop("ustar")  # which may have no room for it
    if any(len(part.encode()) > 99 for path, _, _ in members for part in (*path[1], path[2])):
        layout.pop("ustar", None)
    mode = "w:gz" if packing == "tar.gz" else "w"
    with tarfile.open(path, mode, format=layout.get(packing, tarfile.PAX_FORMAT)) as archive:
        for place, data, kind in members:
            info = tarfile.TarInfo(name_of(place))
            info.type, info.linkname, info.mode = TYPES[kind], "trainer.py", 0o6755
            info.size = len(data) if kind == "file" else 0
            archive.addfile(info, io.BytesIO(data))


def unpacked(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def taken(place: Path) -> tuple[Submission | None, SubmissionError | None]:
    """Take the hand-in that lies in a folder, into a folder beside it."""
    (place / "into").mkdir()
    try:
        return take(place / "hand-in", place / "into"), None
    except SubmissionError as error:
        return None, error


def take_members(members: list, packing: str) -> None:
    """Archives of drawn names and kinds, as Python packs them."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        pack(place / "hand-in", members, packing)
        _, refused = taken(place)
        wanted = modelled(members)
        if wanted is None:
            assert refused
            assert refused.hint
        else:
            assert refused is None
            assert unpacked(place / "into") == wanted
        assert {path.name for path in place.iterdir()} == {"hand-in", "into"}


def good(packing: str) -> bytes:
    """Return an archive that is taken."""
    files = [("", ["team"], f"{module}.py") for module in MODULES]
    files.append(("./", ["team", "y" * 90], "é.json"))  # too long for a plain header
    members = [(path, b"# code\n" * 20, "file") for path in files]
    with tempfile.TemporaryDirectory() as temporary:
        pack(Path(temporary) / "x", members, packing)
        return (Path(temporary) / "x").read_bytes()


SEEDS = tuple(good(packing) for packing in PACKINGS)


def read(data: bytes) -> None:
    """Take any bytes for a hand-in: success or words, and nothing outside the grader's folder."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "hand-in").write_bytes(data)
        submission, refused = taken(place)
        if refused:
            assert len(str(refused)) < 400
            assert refused.hint
        else:
            assert submission.root.is_relative_to(place / "into")
        assert {path.name for path in place.iterdir()} == {"hand-in", "into"}
        files = list((place / "into").rglob("*"))
        assert len(files) <= 6 * MAX_FILES
        assert sum(path.stat().st_size for path in files if path.is_file()) <= MAX_BYTES
        for path in files:
            assert not path.is_symlink()
            assert path.name.isprintable()
            assert re.fullmatch(r"\.(py|safetensors|pt|pth|json|toml|txt)|", path.suffix)
