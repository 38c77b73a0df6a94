"""Reads the headers of a tar, one after the other; unpacks nothing and keeps nothing.

Covered: plain files of ustar, PAX and GNU archives as today's tools write them, damage, headers
that lie. Not covered: compression (`archive.py`); links, devices, folders (told, not described);
sparse files (refused).

Python's own tarfile reads a header of any announced size into memory, and hostile headers have led
it into endless loops (CVE-2025-8194) and backtracking (CVE-2024-6232). Whether an interpreter is
mended depends on its patch release; this reader moves forward only, at a cost known beforehand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
MAX_HEADER = 1 << 20  # bytes of one PAX header or one long name
FILES = b"0\x007"
ABOUT_NEXT = b"xXgLK"  # PAX headers and GNU's long names: they describe the member after them
# Links, devices, folders and pipes have no data, whatever size their headers name.
NO_DATA = b"123456"


class TarError(ValueError):
    """The headers break the rules."""


@dataclass(frozen=True)
class TarMember:
    """A plain file: `size` bytes from `offset` on."""

    name: str
    size: int
    offset: int


def is_tar(file: BinaryIO) -> bool:
    """Whether a file begins with a tar's header."""
    file.seek(0)
    block = file.read(BLOCK)
    try:
        return len(block) == BLOCK and any(block) and _checked(block) is None
    except TarError:
        return False


def members(file: BinaryIO) -> Iterator[TarMember | None]:
    """Give each plain file, and None for every header of something else, so that it can be counted.

    Raises:
        TarError: it is cut short, sparse, or its headers contradict themselves.
    """
    length = file.seek(0, 2)
    at, long_name, extended = 0, None, {}
    while at < length:
        file.seek(at)
        block = file.read(BLOCK)
        if not any(block):
            return
        if len(block) < BLOCK:
            raise TarError("it ends in the middle of a header")
        _checked(block)
        kind = block[156:157]
        said = None if kind in ABOUT_NEXT else extended.get(b"size")
        size = 0 if kind in NO_DATA else _size(said, block[124:136])
        data = at + BLOCK
        if data + size > length:
            raise TarError("it ends in the middle of a file")
        at = data + -(-size // BLOCK) * BLOCK
        if kind in ABOUT_NEXT:
            if size > MAX_HEADER:
                raise TarError(f"a header of {size} bytes")
            content = file.read(size)
            if kind in b"xX":
                extended = _extended(content)
            elif kind == b"g" and {b"path", b"size"} & set(_extended(content)):
                raise TarError("one name or size for all files")
            elif kind == b"L":
                long_name = content.partition(b"\0")[0]
            yield None
            continue
        if kind == b"S" or any(key.startswith(b"GNU.sparse") for key in extended):
            raise TarError("it holds a sparse file: pack without --sparse")
        name = extended.get(b"path", long_name or _name(block)).decode("utf-8", "surrogateescape")
        long_name, extended = None, {}
        plain = kind in FILES and not name.endswith("/")
        yield TarMember(name, size, data) if plain else None


def _checked(block: bytes) -> None:
    if _octal(block[148:156]) != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        raise TarError("a header is damaged")


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    # GNU keeps other things in the place of the prefix, and says so in the magic number.
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _size(said: bytes | None, field: bytes) -> int:
    """A size: what a PAX header says, or the field, in octal or (beyond 8 GiB) in base 256."""
    if said is not None:
        if not said.isdigit() or len(said) > 20:
            raise TarError("a size that is no number")
        return int(said)
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field)


def _octal(field: bytes) -> int:
    text = field.partition(b"\0")[0].strip(b" ")
    if text.strip(b"01234567"):
        raise TarError("a number that is none")
    return int(text or b"0", 8)


def _extended(content: bytes) -> dict[bytes, bytes]:
    """Read a PAX header: records `LENGTH KEY=VALUE` with a line end, whose length counts it all."""
    found, at = {}, 0
    while at < len(content):
        digits, _, _ = content[at : at + 8].partition(b" ")
        if not digits.isdigit():
            raise TarError("a PAX header without lengths")
        end = at + int(digits)
        key, equals, value = content[at + len(digits) + 1 : end].partition(b"=")
        if end > len(content) or not equals or not value.endswith(b"\n"):
            raise TarError("a PAX header whose lengths lie")
        found[key] = value[:-1]
        at = end
    return found
