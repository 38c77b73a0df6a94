"""archive.py and tar.py: hostile archives and folders cost little, and nothing leads outside."""

from __future__ import annotations

import ast
import errno
import gzip
import io
import os
import shutil
import socket
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from test_submission import GOOD, pack, patch_zip, unpacked

from autograder import archive, submission, tar
from autograder.faults import Fault
from autograder.submission import SubmissionError, take

GRADER = Path(archive.__file__).parent
posix = pytest.mark.skipif(os.name != "posix", reason="needs links, pipes and modes")


@pytest.fixture
def into(tmp_path) -> Path:
    folder = tmp_path / "grader" / "into"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "team"
    (folder / "old").mkdir(parents=True)
    for name, data in GOOD.items():
        (folder / name).write_bytes(data)
    (folder / "old" / "notes.txt").write_text("notes")
    return folder


def raw(name: str, kind: bytes = b"0", size: int | bytes = 0, **fields: bytes) -> bytes:
    """One header of a tar, with any size and any bytes at the places in `fields` (`at_257=…`)."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    for place, value in fields.items():
        at = int(place.removeprefix("at_"))
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(**records: str) -> bytes:
    """A PAX header for the member after it."""
    lines = b""
    for key, value in records.items():
        line = f" {key.replace('_dot_', '.')}={value}\n".encode()
        length = len(line) + 1
        while length != len(str(length)) + len(line):
            length = len(str(length)) + len(line)
        lines += str(length).encode() + line
    return raw("pax", b"x", len(lines)) + padded(lines)


def good_tar() -> bytes:
    return b"".join(raw(name, size=len(data)) + padded(data) for name, data in GOOD.items())


def refused(path: Path, into: Path, says: str) -> None:
    """A hand-in is refused with a hint, before anything is written."""
    with pytest.raises(SubmissionError, match=says) as error:
        take(path, into)
    assert error.value.hint
    assert len(str(error.value)) < 400
    assert unpacked(into) == {}


# What costs more than it should.


@pytest.mark.parametrize("packing", ["tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, b"V"])
def test_members_that_nobody_wants_cannot_make_a_bomb(tmp_path, into, monkeypatch, packing, kind):
    monkeypatch.setattr(archive, "MAX_UNPACKED", 2 << 20)
    path = tmp_path / f"x.{packing}"
    with tarfile.open(path, f"w:{packing[4:]}") as bomb:
        info = tarfile.TarInfo("bomb.dat")
        info.type, info.size = kind, 8 << 20
        bomb.addfile(info, io.BytesIO(bytes(info.size)))
        if kind != tarfile.REGTYPE:
            bomb.fileobj.write(bytes(info.size))  # addfile leaves the data of odd types out
    assert path.stat().st_size < 20_000
    refused(path, into, "x.tar.*: it unpacks to over 2 MiB")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"], ids=["PAX", "global", "name", "link"])
def test_a_header_of_many_megabytes_is_refused_unread(tmp_path, into, kind):
    size = 64 << 20
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(raw("x", kind, size))
        for _ in range(64):
            file.write(b"9" * (1 << 20))
        file.write(good_tar())
    tracemalloc.start()
    refused(path, into, f"a header of {size} bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("packing", ["tar", "tar.gz", "zip"])
def test_memory_does_not_grow_with_a_file(tmp_path, into, packing):
    path = pack(tmp_path / f"x.{packing}", [*GOOD.items(), ("checkpoint.pt", bytes(64 << 20))])
    tracemalloc.start()
    take(path, into)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # a few pieces of a MiB each


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_a_hundred_thousand_members_are_refused(tmp_path, into, packing):
    path = tmp_path / f"x.{packing}"
    if packing == "tar":
        path.write_bytes((raw("d/", b"5") + raw("link", b"2")) * 50_000 + good_tar())
    else:
        data = pack(path, [("a", b"")]).read_bytes()
        start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
        size = (100_000 * (end - start)).to_bytes(4, "little")
        tail = data[end : end + 12] + size + data[end + 16 :]  # what counts is the list's size
        path.write_bytes(data[:start] + 100_000 * data[start:end] + tail)
    refused(path, into, "too many members: over 10000|list of contents is far too long")


def test_an_xz_that_wants_more_memory_than_there_is_for_it_is_refused(tmp_path, into, monkeypatch):
    monkeypatch.setattr(archive, "MAX_XZ_MEMORY", 1 << 20)
    refused(pack(tmp_path / "x.tar.xz", list(GOOD.items())), into, "(?i)memory")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_by_a_rare_method_is_refused(tmp_path, into, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("trainer.py", GOOD["trainer.py"])
    refused(path, into, "compression method .* deflate is")


def test_members_that_share_their_bytes_are_refused(tmp_path, into):
    path = pack(tmp_path / "x.zip", [("a.py", bytes(9999))])
    data = path.read_bytes()
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    listed = [data[start:end].replace(b"a.py", b"%c.py" % c) for c in b"abcdefgh"]
    size = sum(map(len, listed)).to_bytes(4, "little")
    tail = data[end : end + 12] + size + data[end + 16 :]
    path.write_bytes(data[:start] + b"".join(listed) + tail)
    with pytest.raises(SubmissionError, match="cannot be read"):
        take(path, into)


def test_archives_in_an_archive_stay_as_they_are(tmp_path, into):
    inner = pack(tmp_path / "inner.zip", [("bomb.py", bytes(1 << 20))]).read_bytes()
    take(pack(tmp_path / "x.zip", [*GOOD.items(), ("inner.zip", inner)]), into)
    assert unpacked(into) == GOOD


# Headers that lie.


HEADERS = {
    "a negative size": (raw("a.py", size=b"\xff" * 12), "no|number"),
    "a negative octal size": (raw("a.py", size=b"-0000000512\0"), "number"),
    "a size with Python's underscore": (raw("a.py", size=b"0000_000010\0"), "number"),
    "a size beyond the end": (raw("a.py", size=9_999_999), "middle of a file"),
    "a huge size in base 256": (raw("a.py", size=b"\x80" + b"\xff" * 11), "middle of a file"),
    "a negative PAX size": (pax(size="-512") + raw("a.py"), "no number"),
    "a huge PAX size": (pax(size="9" * 5000) + raw("a.py"), "no number"),
    "a PAX size beyond the end": (pax(size="99999999") + raw("a.py"), "middle of a file"),
    "a PAX record too long": (raw("x", b"x", 10) + padded(b"99 path=a\n"), "lengths lie"),
    "a PAX record of no length": (raw("x", b"x", 9) + padded(b"0 path=a\n"), "lengths lie"),
    "a PAX record without a value": (raw("x", b"x", 8) + padded(b"8 patha\n"), "lengths lie"),
    "digits without an end": (raw("x", b"x", 4096) + b"9" * 4096, "without lengths|lengths lie"),
    "a name for all files": (pax(path="a.py").replace(b"pax", b"all"), ""),
    "a GNU sparse file": (raw("a.py", b"S"), "sparse"),
    "a PAX sparse file": (pax(GNU_dot_sparse_dot_major="1") + raw("a.py"), "sparse"),
    "a damaged checksum": (b"x" + raw("a.py")[1:], "damaged"),
    "half a header": (raw("a.py")[:100], "middle of a header"),
}


@pytest.mark.parametrize(("headers", "says"), HEADERS.values(), ids=HEADERS)
def test_headers_that_lie_are_refused(tmp_path, into, headers, says):
    path = tmp_path / "x.tar"
    if not says:  # a global header
        block = bytearray(headers)
        block[156:157] = b"g"
        headers = raw("g", b"g", int(block[124:135], 8)) + bytes(block[512:])
        says = "for all files"
    path.write_bytes(good_tar() + headers)
    refused(path, into, says)


def test_the_names_of_pax_and_gnu_headers_are_read(tmp_path, into):
    path = tmp_path / "x.tar"
    long = "é" * 40 + ".py"
    gnu = raw("@LongLink", b"L", 9) + padded(b"gnu.json\0") + raw("cut", size=1) + padded(b"1")
    posix = pax(path=long, size="2") + raw("cut", size=7) + padded(b"22")
    split = raw("b.py", at_257=b"ustar\x0000", at_345=b"folder")
    comment = raw("g", b"g", 13) + padded(b"13 comment=x\n")
    path.write_bytes(comment + good_tar() + gnu + posix + split + bytes(1024) + b"rest")
    take(path, into)
    assert unpacked(into) == GOOD | {"gnu.json": b"1", long: b"22", "folder/b.py": b""}


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path, into):
    """PyTorch's .pt files are zips, and a zip is known by its last bytes."""
    inner = pack(tmp_path / "inner.zip", [("data.pkl", b"weights")]).read_bytes()
    path = pack(tmp_path / "x.tar", [*GOOD.items(), ("checkpoint.pt", inner)])
    assert zipfile.is_zipfile(path)
    assert unpacked(take(path, into).root) == GOOD | {"checkpoint.pt": inner}


def test_a_name_with_a_null_byte_ends_there_and_has_no_twin(tmp_path, into):
    path = pack(tmp_path / "x.zip", [*GOOD.items(), ("config.py!.txt", b"1")])
    path.write_bytes(path.read_bytes().replace(b"config.py!.txt", b"config.py\0.txt"))
    take(path, into)
    assert unpacked(into) == GOOD | {"config.py": b"1"}


def test_a_zip_member_without_a_name_is_left_out(tmp_path, into):
    """Found by `make fuzz`: zipfile's own is_dir looks at the last letter of any name."""
    path = pack(tmp_path / "x.zip", [*GOOD.items(), ("!.py", b"1")])
    path.write_bytes(path.read_bytes().replace(b"!.py", b"\0.py"))
    take(path, into)
    assert unpacked(into) == GOOD


@pytest.mark.parametrize("name", ["\ud800.py", "a\ufeff.py", "a\u200b.py", "é" * 60 + ".py"])
def test_names_that_no_file_system_agrees_on_are_left_out(tmp_path, into, name):
    path = tmp_path / "x.tar"
    encoded = name.encode("utf-8", "surrogatepass")
    path.write_bytes(good_tar() + raw("l", b"L", len(encoded)) + padded(encoded) + raw("x"))
    take(path, into)
    assert unpacked(into) == GOOD


# Nothing leads outside.


@posix
def test_copies_keep_no_mode_bits(tmp_path, into):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as packed:
        for name, data in GOOD.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(data), 0o6777, 1
            packed.addfile(info, io.BytesIO(data))
    take(path, into)
    for copy in into.iterdir():
        assert copy.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111) == 0
        assert copy.stat().st_uid == os.getuid()


def test_a_file_behind_a_link_of_the_same_archive_lands_inside(tmp_path, into):
    """What CVE-2025-4517 and its kin do with extractall: a link that leads out, then through it."""
    path = pack(tmp_path / "x.tar", list(GOOD.items()))
    with tarfile.open(path, "a") as packed:
        for name, kind, target in [
            ("deep", tarfile.SYMTYPE, "d/" * 60 + "../" * 99 + str(tmp_path)),
            ("deep2", tarfile.SYMTYPE, "deep"),
            ("hard.py", tarfile.LNKTYPE, "deep/secret.py"),
            ("deep2/evil.py", tarfile.REGTYPE, ""),
            ("deep/evil.py", tarfile.REGTYPE, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            packed.addfile(info)
    take(path, into)
    assert {"deep/evil.py", "deep2/evil.py"} < set(unpacked(into))
    assert not any(p.is_symlink() for p in into.rglob("*"))
    assert {p.name for p in tmp_path.iterdir()} == {"x.tar", "grader"}


def test_the_grader_never_extracts_an_archive(tmp_path, into, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("extracted")

    packed = {p: pack(tmp_path / f"x.{p}", list(GOOD.items())) for p in ("tar.gz", "zip")}
    folders = [into / "0", into / "1"]
    for folder in folders:
        folder.mkdir()
    for owner in (tarfile.TarFile, zipfile.ZipFile):
        for name in ("extractall", "extract"):
            monkeypatch.setattr(owner, name, never)
    monkeypatch.setattr(tarfile, "TarFile", never)
    monkeypatch.setattr(shutil, "unpack_archive", never)
    for i, packing in enumerate(("tar.gz", "zip")):
        take(packed[packing], folders[i])
        assert unpacked(folders[i]) == GOOD
    # The scripts that platforms start unpack the kit itself, before there is a grader.
    entry = GRADER / "platforms" / "entry"
    for path in (p for p in GRADER.rglob("*.py") if not p.is_relative_to(entry)):
        tree = ast.parse(path.read_text())
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"extract", "extractall", "unpack_archive"}, path


# Folders.


@posix
def test_links_pipes_and_sockets_of_a_folder_are_never_opened(folder, into):
    (folder / "config.py").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    os.mkfifo(folder / "regularization.py")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # a socket's address has to be short
        try:
            server.bind("socket.py")
        finally:
            os.chdir(here)
        take(folder, into)
    assert unpacked(into) == GOOD | {"old/notes.txt": b"notes"}


@posix
@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.write_bytes(b"longer " * 99),
        lambda f: f.write_bytes(b""),
        lambda f: f.unlink(),
        lambda f: (f.unlink(), os.mkfifo(f)),
        lambda f: (f.unlink(), f.mkdir()),
        lambda f: (f.unlink(), f.symlink_to(f.parent.parent / "secret" / f.name)),
        lambda f: (shutil.rmtree(f.parent), f.parent.symlink_to(f.parent.parent / "secret")),
    ],
    ids=["grows", "shrinks", "goes", "a pipe", "a folder", "a link", "its folder a link"],
)
def test_a_file_that_changes_while_it_is_read_is_refused(folder, into, monkeypatch, change):
    (folder / "secret").mkdir()
    (folder / "secret" / "notes.txt").write_text("hides")  # as long as what stands in its place
    chosen = submission._chosen

    def chosen_then_changed(members):
        listed = chosen(members)
        change(folder / "old" / "notes.txt")
        return listed

    monkeypatch.setattr(submission, "_chosen", chosen_then_changed)
    with pytest.raises(SubmissionError, match="team cannot be read"):
        take(folder, into)
    copied = {name: data for name, data in unpacked(into).items() if name.startswith("old/")}
    assert b"hides" not in b"".join(copied.values())


@posix
def test_a_file_that_cannot_be_opened_is_named_without_the_graders_own_places(
    folder, into, monkeypatch
):
    def locked(path, *args, **more):
        if path == "trainer.py":
            raise PermissionError(errno.EACCES, "Permission denied", str(into / "trainer.py"))
        return opened(path, *args, **more)

    opened = os.open
    monkeypatch.setattr(os, "open", locked)
    monkeypatch.setattr(os, "supports_dir_fd", {locked})
    with pytest.raises(SubmissionError, match="cannot be read: Permission denied") as error:
        take(folder, into)
    assert str(into) not in str(error.value)


def test_a_deep_tree_is_read_as_deep_as_files_are_wanted_and_no_deeper(folder, into, monkeypatch):
    (folder / Path(*["d"] * 99)).mkdir(parents=True)
    (folder / Path(*["d"] * (archive.MAX_DEPTH - 1)) / "deep.py").write_text("1")
    (folder / Path(*["d"] * archive.MAX_DEPTH) / "deeper.py").write_text("2")
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    take(folder, into)
    deep = {"d/" * (archive.MAX_DEPTH - 1) + "deep.py": b"1"}
    assert unpacked(into) == GOOD | {"old/notes.txt": b"notes"} | deep
    assert (
        len([path for path in looked if folder in (path, *path.parents)])
        <= 1 + 1 + archive.MAX_DEPTH - 1
    )


def test_entries_of_every_kind_are_counted(folder, into, monkeypatch):
    monkeypatch.setattr(submission, "MAX_MEMBERS", 50)
    for i in range(60):
        (folder / "old" / f"{i}").mkdir()
    refused(folder, into, "too many members")


# A full disk is no mark.


def test_no_room_for_the_copy_is_the_graders_own_fault(folder, into, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(Fault, match=r"cannot be copied: .*No space left"):
        take(folder, into)


def test_no_room_to_unpack_is_the_graders_own_fault(tmp_path):
    class Full(io.BytesIO):
        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Fault, match="cannot be unpacked here: No space left"):
        archive.spool([b"x"], Full())


def test_an_encrypted_or_cut_archive_says_so_in_a_line(tmp_path, into):
    path = pack(tmp_path / "x.zip", [("a" * 60_000 + ".py", b"1"), *GOOD.items()])
    patch_zip(path, 6, 8, b"\x01\x00")
    take(path, into)  # the encrypted one is not wanted
    cut = tmp_path / "x.tar"
    cut.write_bytes(good_tar()[:-700])
    with pytest.raises(SubmissionError, match="ends in the middle"):
        take(cut, into)


def test_tar_members_are_not_confused_with_text():
    assert not tar.is_tar(io.BytesIO(b"import torch\n" * 100))
    assert not tar.is_tar(io.BytesIO(bytes(10_240)))
    assert not tar.is_tar(io.BytesIO(b""))
