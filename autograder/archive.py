"""Lists what a folder, `.zip`, `.tar` or compressed tar holds, and reads one file of it at a time.

Covered: links, pipes and devices (never opened), bombs (what a compressed tar unpacks to is
bounded, whatever it is), headers that announce more memory than there is. Not covered: which files
are wanted and how many (`submission.py`). Nothing here writes by a member's name, so that no name
leads anywhere; `extractall` is never used.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from . import tar
from .faults import Fault

MAX_DEPTH = 6  # folders and the name itself
MAX_UNPACKED = 640 * 2**20  # of a compressed tar: what is wanted, what is not, and the headers
MAX_READ = 2 * 2**20  # at once; a zip's list of contents is one read
MAX_XZ_MEMORY = 128 * 2**20  # twice what `xz -9` needs
CHUNK = 1 << 20
# What the readers of archives raise for damage, encryption (RuntimeError) and compression methods
# that they do not know (NotImplementedError, a RuntimeError too).
UNREADABLE = (
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
# Name, announced size, and a function that gives the content in pieces.
Member = tuple[str, int, Callable[[], Iterator[bytes]]]


class TooLarge(Exception):
    """It unpacks to more than a hand-in may hold."""


class GuardedFile(io.FileIO):
    """A file of which no more than `MAX_READ` bytes are read at once, whatever a header says."""

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, or to the end.

        Raises:
            ValueError: there are more.
        """
        most = MAX_READ + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) > MAX_READ:
            raise ValueError("its list of contents is far too long")
        return data


@contextmanager
def members(source: Path) -> Iterator[Iterator[Member | None] | None]:
    """Give the plain files of a folder or archive, and None for everything else that it holds.

    The whole is None where the source is neither.

    Raises:
        TooLarge: a compressed tar unpacks to more than `MAX_UNPACKED`.
        Fault: it could not be unpacked, for want of room.
    """
    with ExitStack() as opened:
        if source.is_dir():
            yield folder_members(source)
            return
        if not source.is_file():
            yield None
            return
        file: BinaryIO = opened.enter_context(GuardedFile(source))
        start = file.read(6)
        unpack = next((unpack for magic, unpack in UNPACK.items() if start.startswith(magic)), None)
        if unpack:
            file.seek(0)
            unpacked = opened.enter_context(tempfile.TemporaryFile(prefix="lm-kit-"))
            spool(unpack(file), unpacked)
            file = unpacked
        # A tar goes first: one that ends in a small zip, such as a .pt, looks like a zip.
        if tar.is_tar(file):
            yield tar_members(file)
        elif not unpack and zipfile.is_zipfile(file):
            yield zip_members(opened.enter_context(zipfile.ZipFile(file)))
        else:
            yield None


def folder_members(folder: Path) -> Iterator[Member | None]:
    """Plain files below a folder, as deep as one is wanted; links are not followed."""
    left = [""]
    while left:
        place = left.pop()
        with os.scandir(folder / place) as entries:
            for entry in entries:
                name = place + entry.name
                if entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    yield name, size, lambda name=name: pieces(lambda: open_below(folder, name))
                    continue
                hidden = entry.name.startswith((".", "__pycache__"))
                too_deep = name.count("/") >= MAX_DEPTH - 1
                if entry.is_dir(follow_symlinks=False) and not (hidden or too_deep):
                    left.append(f"{name}/")
                yield None


def open_below(folder: Path, name: str) -> BinaryIO:
    """Open a plain file below a folder, through no link, even if one was put there since.

    Raises:
        OSError: it is not there, or a link stands in the way.
        ValueError: it is no plain file any more.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:  # Windows, where practice is all there is
        return os.fdopen(os.open(folder / name, flags), "rb")
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would wait for a writer
    *parents, last = name.split("/")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        file = os.fdopen(os.open(last, flags, dir_fd=at), "rb")
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("a file changed while it was read")
    return file


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member | None]:
    """Plain files of a zip."""
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        # Not `is_dir`, which before Python 3.12 fails on an empty name.
        if info.filename.endswith("/") or kind not in (0, stat.S_IFREG):
            yield None
        else:
            yield info.filename, info.file_size, lambda info=info: zipped(archive, info)


def zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Read one file of a zip, stored or deflated; what else there is may want any memory."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"compression method {info.compress_type} is not read here, deflate is")
    return pieces(lambda: archive.open(info))


def tar_members(file: BinaryIO) -> Iterator[Member | None]:
    """Plain files of a tar; links and devices are left out."""
    for member in tar.members(file):
        if member is None:
            yield None
        else:
            name = member.name.removeprefix("./")
            yield name, member.size, lambda member=member: section(file, member.offset, member.size)


def section(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """Read `size` bytes from `offset` on, in pieces."""
    end = offset + size
    while offset < end:
        file.seek(offset)
        piece = file.read(min(end - offset, CHUNK))
        if not piece:
            return
        yield piece
        offset += len(piece)


def pieces(open_it: Callable[[], BinaryIO]) -> Iterator[bytes]:
    """Open a file when the first piece is asked for, read it to its end, and close it."""
    with open_it() as file:
        while piece := file.read(CHUNK):
            yield piece


def unxz(file: BinaryIO) -> Iterator[bytes]:
    """Unpack xz, whose own headers say how much memory it wants; a bound stands against that."""
    unpacking = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)
    while not unpacking.eof:
        packed = file.read(CHUNK) if unpacking.needs_input else b""
        if unpacking.needs_input and not packed:
            raise EOFError("it is cut short")
        yield unpacking.decompress(packed, CHUNK)


# By the bytes that a compressed file begins with.
UNPACK: dict[bytes, Callable[[BinaryIO], Iterator[bytes]]] = {
    b"\x1f\x8b": lambda file: pieces(lambda: gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: pieces(lambda: bz2.BZ2File(file)),
    b"\xfd7zXZ\0": unxz,
}


def spool(unpacked: Iterable[bytes], into: BinaryIO) -> None:
    """Write what unpacks to a file of the grader's own, so that it is unpacked once only.

    Raises:
        TooLarge: it is more than `MAX_UNPACKED`.
        Fault: there is no room for it.
    """
    total = 0
    for piece in unpacked:
        total += len(piece)
        if total > MAX_UNPACKED:
            raise TooLarge(f"it unpacks to over {MAX_UNPACKED >> 20} MiB")
        try:
            into.write(piece)
        except OSError as error:
            raise Fault(f"the hand-in cannot be unpacked here: {error.strerror}") from error
    into.flush()
