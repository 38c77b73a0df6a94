"""Fetches the files of WikiText-2 from public addresses, or says soon why it cannot.

What it does: tries the addresses in turn, resumes a broken transfer, checks
every file's size and digest before it gets its final name, and shows progress.
It gives up where nothing useful comes: name look-ups, connections and slow
servers are all measured by one rule (`Limits`), so that a machine without a
network waits less than 10 s for all the addresses together.
What it does not do: read, unpack or encode what it fetched (see corpus.py), or
several transfers at once.
"""

from __future__ import annotations

import hashlib
import http.client
import queue
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER_AGENT = "Mozilla/5.0 (compatible; lm-kit)"  # the mirror refuses Python's own


class DownloadError(Exception):
    """No address gave the files; the message has one line for each address."""


@dataclass(frozen=True)
class File:
    """A file to fetch. digest: "sha256:..." or "git:..." (SHA-1 of git's blob), in hex."""

    url: str
    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Address:
    """Files that stand together in one place; `result`, below the folder, is what they give."""

    files: tuple[File, ...]
    result: str


@dataclass(frozen=True)
class Limits:
    """A transfer is given up when `seconds` pass without another `size` bytes.

    The clock starts with the name look-up and starts anew after each `size`
    bytes. Two addresses at 4 s each stay under 10 s; 32 KiB in 4 s is 8 KiB/s.
    """

    seconds: float = 4.0
    size: int = 32 * 1024


LIMITS = Limits()
ZIP = File(
    "https://wikitext.smerity.com/wikitext-2-v1.zip",
    "wikitext-2-v1.zip",
    4_475_746,
    "sha256:92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
)
_RAW = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2"
ADDRESSES = (
    Address((ZIP,), result=ZIP.name),
    Address(
        tuple(
            File(f"{_RAW}/{name}", f"wikitext-2/{name}", size, f"git:{digest}")
            for name, size, digest in (
                ("train.txt", 10_797_148, "2d84b35af79e411d73ea7cae83c73964c6ac83b4"),
                ("valid.txt", 1_121_681, "eec944eb2d9e46061cd34a6913528797db6842fc"),
                ("test.txt", 1_256_449, "6f3fc88e4cd88456ea892971f9f12243e8428624"),
            )
        ),
        result="wikitext-2",
    ),
)


def fetch(
    folder: Path,
    *,
    addresses: tuple[Address, ...] | None = None,
    limits: Limits | None = None,
    progress: bool = True,
) -> Path:
    """The path below `folder` of a verified zip or folder, fetched unless it is there.

    Tries `addresses` (default: `ADDRESSES`) in turn. What came so far of a file
    stays beside it as `.part` for the next try; only verified bytes get a final
    name. Call it under a lock: two calls must not share a folder at once.
    Raises DownloadError when every address failed, OSError when `folder` cannot
    be written to.
    """
    failures = []
    for address in ADDRESSES if addresses is None else addresses:
        try:
            for file in address.files:
                _fetch_file(file, folder / file.name, limits or LIMITS, progress)
            return folder / address.result
        except _Failure as failure:
            failures.append(f"- {file.url}: {failure}")
    raise DownloadError("\n".join(failures))


def clear(folder: Path) -> None:
    """Remove what `fetch` left in `folder`, and nothing else."""
    for address in ADDRESSES:
        for file in address.files:
            for path in (folder / file.name, _part(folder / file.name)):
                path.unlink(missing_ok=True)
    for path in (folder / "wikitext-2", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


class _Failure(Exception):
    """Why an address is given up."""


class _Broken(_Failure):
    """The transfer ended early; what came so far is good to go on from."""


class _Bad(_Failure):
    """All the bytes came and they are not the right ones."""


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _fetch_file(file: File, path: Path, limits: Limits, progress: bool) -> None:
    """Fetch one file to `path`, through `path`.part. Raises _Failure or OSError."""
    if path.is_file() and _problem(file, path) is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    furthest = part.stat().st_size if part.is_file() else 0
    bad = 0
    while True:
        try:
            with _bar(file, progress) as show:
                _transfer(file, part, limits, show)
            problem = _problem(file, part)
            if problem is None:
                part.replace(path)
                return
            part.unlink()
            raise _Bad(problem)
        except _Broken:
            # Again only while each try gets further, so that this ends.
            reached = part.stat().st_size if part.is_file() else 0
            if reached < furthest + min(limits.size, file.size // 8):
                raise
            furthest = reached
        except _Bad:
            bad += 1
            furthest = 0
            if bad == 2:
                raise


def _problem(file: File, path: Path) -> str | None:
    """What is wrong with the file at `path`; None if size and digest are right."""
    kind, _, expected = file.digest.partition(":")
    size = path.stat().st_size
    if kind == "git":
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    with open(path, "rb") as data:
        while chunk := data.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() == expected:
        return None
    return (
        f"wrong bytes: {size:,} with {kind} digest {digest.hexdigest()}, "
        f"expected {file.size:,} with {expected}"
    )


def _transfer(file: File, part: Path, limits: Limits, show: Callable[[int], None]) -> None:
    """Bring `part` to the size of `file`, going on from what it holds. Raises _Failure."""
    have = part.stat().st_size if part.is_file() else 0
    if have >= file.size:
        if have == file.size:
            return  # whole, only not verified yet
        part.unlink()
        have = 0
    stop = threading.Event()
    events: queue.Queue[Any] = queue.Queue(maxsize=16)
    # A thread, because a name look-up heeds no time-out; a daemon, because one
    # that hangs must not keep the process alive.
    # The socket's own time-out only ends an abandoned thread: this loop is the judge.
    arguments = (file.url, have, 2 * limits.seconds, events, stop)
    threading.Thread(target=_receive, args=arguments, daemon=True).start()
    since, brought = time.monotonic(), 0
    sink = None
    try:
        while True:
            left = since + limits.seconds - time.monotonic()
            try:
                # Short waits, because on Windows Ctrl-C does not end a long one.
                event = events.get(timeout=max(0.001, min(0.2, left)))
            except queue.Empty:
                if left > 0:
                    continue
                state = "no answer" if sink is None else f"only {brought:,} bytes"
                raise _Failure(f"{state} in {limits.seconds:g} s") from None
            if isinstance(event, _Failure):
                raise event
            if isinstance(event, Exception):
                raise _Broken(_describe(event)) if sink else _Failure(_describe(event))
            if isinstance(event, _Head):
                if event.total not in (None, file.size):
                    raise _Failure(
                        f"{event.total:,} bytes of {event.type}, expected {file.size:,}: "
                        "not the file"
                    )
                if event.start not in (0, have):
                    raise _Failure(f"sent bytes from {event.start:,} on, asked from {have:,}")
                have = event.start  # 0 where the server ignores Range and sends all of it
                sink = open(part, "ab" if have else "wb")  # noqa: SIM115 - closed below
                show(have)
                continue
            assert sink is not None
            if not event:
                if have < file.size:
                    raise _Broken(f"broken off after {have:,} of {file.size:,} bytes")
                return
            sink.write(event)
            have += len(event)
            brought += len(event)
            show(have)
            if have > file.size:
                raise _Failure(f"more than the expected {file.size:,} bytes: not the file")
            if brought >= limits.size:
                since, brought = time.monotonic(), 0
    finally:
        stop.set()
        if sink is not None:
            sink.close()
            if have > file.size:
                part.unlink()


@dataclass(frozen=True)
class _Head:
    """What a server's answer promises: the first byte's place, the whole size, the type."""

    start: int
    total: int | None
    type: str


def _receive(
    url: str, start: int, timeout: float, events: queue.Queue[Any], stop: threading.Event
) -> None:
    """In a thread: put a _Head, then chunks, then b"" for the end; or an exception."""

    def put(event: object) -> None:
        while not stop.is_set():
            try:
                events.put(event, timeout=0.2)
                return
            except queue.Full:
                continue

    try:
        with _open(url, start, timeout) as response:
            put(_head(response))
            while not stop.is_set():
                chunk = response.read1(1 << 16)
                put(chunk)
                if not chunk:
                    return
    except Exception as error:  # noqa: BLE001 - told in the other thread
        put(error)


def _open(url: str, start: int, timeout: float) -> Any:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416 or not start:
                raise
    return _open(url, 0, timeout)  # our part does not fit what is there now


def _head(response: Any) -> _Head:
    kind = response.headers.get_content_type()
    place = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and place:
        return _Head(int(place[1]), int(place[2]), kind)
    length = response.headers.get("Content-Length", "")
    return _Head(0, int(length) if length.isdecimal() else None, kind)


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return "broken off"
    reason = getattr(error, "reason", error)
    return str(reason) or type(reason).__name__


@contextmanager
def _bar(file: File, progress: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; gives a function that is told how many bytes are there.

    Where stderr is no terminal, a line says what is fetched.
    """
    if not progress or not sys.stderr.isatty():
        if progress:
            print(f"fetching {file.name} ({file.size / 2**20:.1f} MiB)", file=sys.stderr)
        yield lambda have: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(file.name, total=file.size)
        yield lambda have: bar.update(task, completed=have)
