"""Files written whole or not at all, a lock between processes, temporary folders.

Covered: a write that is interrupted or fails, two processes that write the same
path at once, a lock whose holder dies (the operating system drops it), a temporary
folder whose owner was killed (the next one removes it).
Not covered: network file systems without advisory locks, a power cut.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


OWN = "lm-kit-"  # how the names of the kit's temporary folders begin


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` only when the block ends well.

    `mode` is "wb" or "w" (UTF-8, line ends as written), else ValueError. Any exception,
    KeyboardInterrupt too, leaves `path` as it was, and no temporary file, and goes on.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write: mode {mode!r}, expected 'wb' or 'w'")
    path = Path(path)
    # In the same folder a rename is atomic; random, because two may write at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    text: dict[str, str] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def locked(
    path: str | os.PathLike[str], message: Callable[[], object] | None = None
) -> Iterator[None]:
    """Hold the lock file `path` for the block, after waiting for any other holder.

    `message` is called once if there is someone to wait for. Not re-entrant.
    Raises OSError if the file cannot be made.
    """
    # The file stays: removing it would let two processes lock two files.
    with open(path, "ab") as file:
        if not _take(file.fileno(), wait=False):
            if message is not None:
                message()
            _take(file.fileno(), wait=True)
        try:
            yield
        finally:
            _release(file.fileno())


def try_lock(path: str | os.PathLike[str]) -> IO[Any] | None:
    """Take the lock file `path` if nobody holds it; it is held until the returned file is closed.

    Raises OSError if the file cannot be made.
    """
    file = open(path, "ab")  # noqa: SIM115 - it is the lock
    if _take(file.fileno(), wait=False):
        return file
    file.close()
    return None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a new private folder, removed at the end; remove those whose owners were killed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{OWN}*/.lock"):
        _remove_if_left(left)
    new = Path(tempfile.mkdtemp(prefix=f".{OWN}"))
    with (new / ".lock").open("ab") as file:
        _take(file.fileno(), wait=False)
        # Under this name only now that it is locked, so that nobody takes it for one that was left.
        folder = new.rename(place / new.name[1:])
        try:
            yield folder
        finally:
            if sys.platform == "win32":  # which removes no open file
                _release(file.fileno())
                file.close()
            remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it, however deep and whatever its modes; no error if it stays."""
    with suppress(RecursionError):  # before Python 3.13 it calls itself for each level
        shutil.rmtree(folder, ignore_errors=True)
    if os.name == "posix" and folder.exists():
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", str(folder)], stderr=subprocess.DEVNULL)


def _remove_if_left(lock: Path) -> None:
    try:
        if lock.parent.stat().st_uid != _user():
            return
        with lock.open("ab") as file:
            if not _take(file.fileno(), wait=False):
                return
        remove_folder(lock.parent)
    except OSError:  # someone else was faster
        return


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _take(descriptor: int, wait: bool) -> bool:
    while True:
        try:
            if sys.platform == "win32":
                os.lseek(descriptor, 0, os.SEEK_SET)  # it locks from where the file stands
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
        except (BlockingIOError, PermissionError):
            if not wait:
                return False
            time.sleep(0.1)  # on Windows only, whose own waiting lock gives up after 10 s


def _release(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
