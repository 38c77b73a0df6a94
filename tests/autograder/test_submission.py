"""submission.py: hand-ins in every packing are read, and hostile ones write nothing anywhere."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import struct
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from autograder import submission
from autograder.submission import GIVEN, MAX_FILES, MODULES, SubmissionError, take

GOOD = {f"{name}.py": f"# {name}\n".encode() * 9 for name in MODULES}
GOOD |= {"checkpoint.safetensors": bytes(range(256)) * 8}
PACKINGS = ("tar", "tar.gz", "tar.bz2", "tar.xz", "zip")


def pack(path: Path, members: list[tuple[str, bytes]]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return path
    mode = "w" if path.suffix == ".tar" else f"w:{path.suffix[1:]}"
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.fixture
def into(tmp_path) -> Path:
    folder = tmp_path / "grader" / "into"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "team 7"
    folder.mkdir()
    for name, data in GOOD.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("below", ["", "team/", "./", "./team 7/"])
def test_every_packing_is_read_at_its_top_or_one_folder_down(tmp_path, into, packing, below):
    members = [(below + name, data) for name, data in GOOD.items()]
    taken = take(pack(tmp_path / f"team é.{packing}", members), into)
    assert unpacked(taken.root) == GOOD
    assert taken.missing == ()
    assert taken.weights("wikitext2") == "checkpoint.safetensors"
    assert taken.weights("numbers") is None


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "zip"])
def test_the_name_is_that_of_the_archive_less_its_ending(folder, tmp_path, into, ending):
    packing = {"tgz": "tar.gz"}.get(ending, ending)
    path = pack(tmp_path / f"x.{packing}", list(GOOD.items()))
    path.rename(tmp_path / f"team.7.{ending}")
    assert take(tmp_path / f"team.7.{ending}", into).name == "team.7"


def test_a_folder_is_copied_and_left_as_it_is(folder, into):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    taken = take(folder, into)
    assert taken.name == "team 7"
    assert unpacked(into) == GOOD
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()} == before


def test_the_digest_does_not_depend_on_order_packing_or_dates(folder, tmp_path):
    digests = set()
    orders = [list(GOOD.items()), list(GOOD.items())[::-1]]
    for i, packing in enumerate(PACKINGS):
        path = pack(tmp_path / f"{i}.{packing}", orders[i % 2])
        (tmp_path / f"into{i}").mkdir()
        digests.add(take(path, tmp_path / f"into{i}").digest)
    (tmp_path / "into").mkdir()
    digests.add(take(folder, tmp_path / "into").digest)
    assert len(digests) == 1


def test_the_digest_depends_on_every_name_and_byte_that_was_handed_in(folder, tmp_path):
    given = {"config.py": b"# the kit's"}

    def digest() -> str:
        with tempfile.TemporaryDirectory(dir=tmp_path) as into:
            return take(folder, Path(into), given).digest

    seen = [digest()]
    given["config.py"] = b"# another release of the kit"
    assert digest() == seen[0]
    (folder / "trainer.py").write_bytes(GOOD["trainer.py"] + b"\n")
    seen.append(digest())
    (folder / "trainer.py").rename(folder / "trainers.py")
    seen.append(digest())
    assert len(set(seen)) == 3


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="the oracle is sha256sum")
@pytest.mark.parametrize("below", ["", "team/"])
def test_a_receipt_is_what_sha256sum_says(folder, tmp_path, into, below):
    """By the shell lines that the instructor's guide gives to students."""
    path = pack(tmp_path / "a.tar", [(below + name, data) for name, data in GOOD.items()])
    code = (
        "find . -type f ! -path ./checkpoint.safetensors | cut -c3- | LC_ALL=C sort | "
        "tr '\\n' '\\0' | xargs -0 sha256sum | sha256sum"
    )
    said = [
        subprocess.run(line, shell=True, cwd=folder, capture_output=True, check=True).stdout.split()
        for line in (code, "sha256sum checkpoint.safetensors")
    ]
    taken = take(path, into, given={"config.py": b"# the kit's"})
    assert taken.receipt("wikitext2") == dict(
        zip(("code", "weights"), (words[0].decode() for words in said), strict=True)
    )
    assert set(taken.receipt("numbers")) == {"code"}


def test_given_files_are_filled_in_but_never_in_place_of_the_students(folder, tmp_path, into):
    given = dict.fromkeys(GIVEN, b"# the kit's")
    (folder / "config.py").write_text("# the student's")
    (folder / "trainer.py").unlink()
    taken = take(folder, into, given)
    assert (taken.root / "config.py").read_text() == "# the student's"
    assert (taken.root / "checkpoint.py").read_text() == "# the kit's"
    assert taken.has("regularization")
    assert taken.missing == ("trainer",)  # a stub never stands in for what is graded


def test_safetensors_go_before_pt_before_pth(folder, into):
    for ending in ("pth", "pt"):
        (folder / f"checkpoint.{ending}").write_bytes(b"")
    taken = take(folder, into)
    assert taken.weights("wikitext2") == "checkpoint.safetensors"
    for expected in ("checkpoint.pt", "checkpoint.pth", None):
        (taken.root / taken.weights("wikitext2")).unlink()
        assert taken.weights("wikitext2") == expected


# What is left out, and never written outside the grader's folder.

ODD_NAMES = [
    "../evil.py",
    "../../evil.py",
    "a/../../evil.py",
    "a/../trainer2.py",
    "/tmp/evil.py",
    "//evil.py",
    "..\\evil.py",
    "a\\..\\..\\evil.py",
    "C:\\evil.py",
    "C:evil.py",
    "c:/evil.py",
    "a/..",
    ".hidden.py",
    ".git/config.py",
    "__pycache__/evil.py",
    "__MACOSX/trainer.py",
    "a/b/c/d/e/f/evil.py",
    "x" * 101 + ".py",
    "evil\x1b[31m.py",
    "evil\n.py",
    "evil\u202e.py",
    "evil.sh",
    "evil.so",
    "corpus.npy",
    "evil.pyc",
    "evil.pkl",
    "evil",
]


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_names_that_lead_elsewhere_or_are_not_wanted_are_left_out(tmp_path, into, packing):
    path = pack(tmp_path / f"x.{packing}", [*GOOD.items(), *((n, b"x") for n in ODD_NAMES)])
    before = {p for p in tmp_path.rglob("*") if p.is_relative_to(into) is False}
    taken = take(path, into)
    assert unpacked(into) == GOOD
    assert {p for p in tmp_path.rglob("*") if p.is_relative_to(into) is False} == before
    assert not Path("/tmp/evil.py").exists()
    assert taken.missing == ()


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE],
    ids=["symlink", "hard link", "pipe", "character device", "block device"],
)
def test_links_pipes_and_devices_of_a_tar_are_left_out(tmp_path, into, kind):
    path = pack(tmp_path / "x.tar", list(GOOD.items()))
    with tarfile.open(path, "a") as archive:
        for name in ("config.py", "trainer.py/../link.py"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    take(path, into)
    assert unpacked(into) == GOOD


def test_links_of_a_zip_are_left_out(tmp_path, into):
    path = pack(tmp_path / "x.zip", list(GOOD.items()))
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("config.py")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    take(path, into)
    assert unpacked(into) == GOOD


@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
def test_links_and_pipes_of_a_folder_are_left_out(folder, tmp_path, into):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "targets.py").write_text("42")
    (folder / "config.py").symlink_to(secret / "targets.py")
    (folder / "linked").symlink_to(secret)
    os.mkfifo(folder / "regularization.py")  # opening it would wait for ever
    take(folder, into)
    assert unpacked(into) == GOOD


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs O_NOFOLLOW")
def test_a_file_that_turns_into_a_link_while_it_is_read_is_not_followed(folder, tmp_path):
    with submission.sorted_members(folder) as listed:
        members = {name: open_it for name, _, open_it in listed}
        (folder / "trainer.py").unlink()
        (folder / "trainer.py").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match=r"trainer\.py"):
            list(members["trainer.py"]())


# What cannot be read is a SubmissionError with a hint.


@pytest.mark.parametrize("packing", ["tar", "zip"])
@pytest.mark.parametrize("twin", ["trainer.py", "Trainer.py", "./trainer.py", "TRAINER.py"])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_files_of_one_name_are_refused(tmp_path, into, packing, twin):
    path = pack(tmp_path / f"x.{packing}", [*GOOD.items(), (twin, b"another")])
    with pytest.raises(SubmissionError, match=r"(?i)trainer\.py is there twice") as error:
        take(path, into)
    assert "make handin" in error.value.hint


def test_two_spellings_of_one_accent_are_one_name(tmp_path, into):
    path = pack(tmp_path / "x.zip", [*GOOD.items(), ("\u00e9.py", b"1"), ("e\u0301.py", b"2")])
    with pytest.raises(SubmissionError, match="is there twice"):
        take(path, into)


def test_a_file_that_is_a_folder_too_is_refused(tmp_path, into):
    path = pack(tmp_path / "x.tar", [*GOOD.items(), ("trainer.py/inner.py", b"x")])
    with pytest.raises(SubmissionError, match="both that of a file and of a folder"):
        take(path, into)


def patch_zip(path: Path, local: int, central: int, value: bytes) -> None:
    """Overwrite a field of the first member, in its local header and in the directory."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\3\4") + local
    data[at : at + len(value)] = value
    at = data.index(b"PK\1\2") + central
    data[at : at + len(value)] = value
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0, 1, 80, 10_000, 2**31])
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path, into, size):
    path = pack(tmp_path / "x.zip", list(GOOD.items()))
    patch_zip(path, 22, 24, struct.pack("<I", size))
    with pytest.raises(SubmissionError):
        take(path, into)
    assert sum(map(len, unpacked(into).values())) <= sum(map(len, GOOD.values()))


def test_an_encrypted_zip_is_refused(tmp_path, into):
    path = pack(tmp_path / "x.zip", list(GOOD.items()))
    patch_zip(path, 6, 8, struct.pack("<H", 1))
    with pytest.raises(SubmissionError, match="encrypted"):
        take(path, into)


def test_a_compression_that_is_not_known_is_refused(tmp_path, into):
    path = pack(tmp_path / "x.zip", list(GOOD.items()))
    patch_zip(path, 8, 10, struct.pack("<H", 99))
    with pytest.raises(SubmissionError, match="compression method"):
        take(path, into)


@pytest.mark.parametrize("packing", ["tar.gz", "tar.xz", "zip"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, into, monkeypatch, packing):
    monkeypatch.setattr(submission, "MAX_BYTES", 1 << 20)
    bomb = [("bomb.json", bytes(1 << 22)), ("another.json", bytes(1 << 19))]
    path = pack(tmp_path / f"x.{packing}", [*GOOD.items(), *bomb])
    assert path.stat().st_size < 20_000
    with pytest.raises(SubmissionError, match="over 500 files or 1 MiB") as error:
        take(path, into)
    assert "no corpus" in error.value.hint
    assert sum(map(len, unpacked(into).values())) <= 1 << 20


def test_more_than_the_limit_of_files_is_refused(tmp_path, into):
    path = pack(tmp_path / "x.tar", [(f"{i}.py", b"") for i in range(MAX_FILES + 1)])
    with pytest.raises(SubmissionError, match="over 500 files"):
        take(path, into)
    assert len(unpacked(into)) <= MAX_FILES


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_a_flood_of_members_that_are_not_wanted_is_refused(tmp_path, into, packing):
    names = [(f"{i}.dat", b"") for i in range(20 * MAX_FILES + 1)]
    path = pack(tmp_path / f"x.{packing}", [*names, *GOOD.items()])
    with pytest.raises(SubmissionError, match="too many members"):
        take(path, into)
    assert unpacked(into) == {}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut somewhere, or with a few bytes changed."""
    if rng.random() < 0.4:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("packing", PACKINGS)
def test_damaged_archives_are_read_or_refused_and_write_nothing_elsewhere(tmp_path, packing):
    data = pack(tmp_path / f"good.{packing}", list(GOOD.items())).read_bytes()
    rng, refused = random.Random(0), 0
    for i in range(40):  # `tests/fuzz` makes many more
        place = tmp_path / str(i)
        (place / "into").mkdir(parents=True)
        path = place / f"x.{packing}"
        path.write_bytes(damaged(data, rng))
        try:
            take(path, place / "into")
        except SubmissionError as error:
            refused += len(error.hint) > 0
        assert {p.name for p in place.iterdir()} == {path.name, "into"}
    assert refused > 8  # the damage is real


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "there is no"),
        (lambda path: path.mkdir(), "none of data_loader.py"),
        (lambda path: path.write_bytes(b""), "neither a folder nor"),
        (lambda path: path.write_bytes(b"print('hello')\n" * 99), "neither a folder nor"),
        (lambda path: (path / "a" / "b").mkdir(parents=True), "none of data_loader.py"),
    ],
)
def test_what_is_no_hand_in_is_named(tmp_path, into, make, says):
    make(tmp_path / "hand-in")
    with pytest.raises(SubmissionError, match=says) as error:
        take(tmp_path / "hand-in", into)
    assert error.value.hint


def test_modules_two_folders_down_are_not_found(tmp_path, into):
    path = pack(tmp_path / "x.zip", [(f"a/b/{name}", data) for name, data in GOOD.items()])
    with pytest.raises(SubmissionError, match=r"none of data_loader\.py") as error:
        take(path, into)
    assert "one folder down" in error.value.hint


def test_the_folder_with_most_modules_is_the_submission(tmp_path, into):
    stray = [("old/trainer.py", b"# old"), ("trainer.py", b"# stray")]
    path = pack(tmp_path / "x.zip", [*stray, *((f"new/{n}", d) for n, d in GOOD.items())])
    assert take(path, into).root == into / "new"
