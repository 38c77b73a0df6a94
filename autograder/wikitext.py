"""Finds and reads the text of WikiText-2, and knows what it has to be.

What it does: the names of the three files in a folder or zip, their text, its words and articles,
and the figures that a right copy has. What it does not do: fetching (`download.py`), ids and the
cache (`corpus.py`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder import download
from autograder.faults import Fault

SPLITS = ("train", "valid", "test")
EOL = "<eol>"
BY_HAND = (
    f"To give WikiText-2 by hand, get wikitext-2-v1.zip (for example in a browser from "
    f"{download.ZIP.url}) and run again with WIKITEXT2=/path/to/wikitext-2-v1.zip, "
    "or with the folder that holds wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens."
)


class CorpusError(Fault):
    """A corpus cannot be had; the message says what was seen, expected and to be done."""


@dataclass(frozen=True)
class Expected:
    """What a verified corpus has, most of it per split.

    tokens: in the course's counting; with_blanks: in the papers'; files: the
    order-free digest of the text (see `parse`); digest: that of `Corpus`.
    """

    types: int
    articles: Mapping[str, int]
    tokens: Mapping[str, int]
    with_blanks: Mapping[str, int]
    files: Mapping[str, str]
    digest: str


KNOWN = Expected(
    types=33_278,
    articles={"train": 600, "valid": 60, "test": 60},
    tokens={"train": 2_075_677, "valid": 216_347, "test": 244_102},
    with_blanks={"train": 2_088_628, "valid": 217_646, "test": 245_569},
    files={
        "train": "5230cf8166269efc57c3974578b20c59a0cfd5f702c1e3ef0962d965fb475c4b",
        "valid": "dd4e2741a53c765793b5e6bb3c38bf5fa0926dd4c99dc3db49380f0ad344010b",
        "test": "22962cb759dafa9cd9b1cbcf563c8dbfe900b77ba112923ec842420fb78b06b3",
    },
    digest="3ee2687b4a03c1f69c21a56b70376fd963f94960d8c51fc20db6338960588aaa",
)


def locate(source: Path) -> dict[str, str]:
    """The file name in `source`, a folder or a zip, of each split. Raises CorpusError."""
    if source.is_dir():
        names = [
            path.relative_to(source).as_posix()
            for pattern in ("*.t*", "wikitext-2/*.t*")
            for path in source.glob(pattern)
        ]
    elif source.is_file():
        try:
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise CorpusError(
                f"{source} is no whole zip file that can be read ({error}; "
                f"{source.stat().st_size:,} bytes, expected {download.ZIP.size:,} with "
                f"{download.ZIP.digest}). {BY_HAND}"
            ) from error
    else:
        raise CorpusError(f"WIKITEXT2={source} does not exist. {BY_HAND}")
    for below in ("", "wikitext-2/"):
        for form in ("wiki.{}.tokens", "{}.txt"):
            found = {name: below + form.format(name) for name in SPLITS}
            if set(found.values()) <= set(names):
                return found
    raise CorpusError(
        f"{source} holds {', '.join(sorted(names)[:8]) or 'no text'}; expected "
        f"wiki.{{train,valid,test}}.tokens or {{train,valid,test}}.txt. {BY_HAND}"
    )


def read(source: Path) -> dict[str, str]:
    """The text of each split. Raises CorpusError."""
    limit = 32 << 20  # three times the largest file: nothing that expands without end is read
    texts = {}
    try:
        for name, path in locate(source).items():
            if source.is_dir():
                raw = (source / path).read_bytes()
            else:
                with zipfile.ZipFile(source) as archive, archive.open(path) as member:
                    raw = member.read(limit)
            texts[name] = raw.decode("utf-8")
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusError(f"{source} cannot be read: {error}. {BY_HAND}") from error
    return texts


def parse(text: str) -> tuple[list[str], list[int], list[int], str]:
    """Words with `<eol>`, length of each article, places of blank lines, order-free digest.

    The digest is the one of shared text: SHA-256 over the sorted SHA-256 of the
    articles, an article being its lines that are not blank, joined by newlines.
    """
    lines = [line.split() for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()  # what follows the last line end is no line
    words: list[str] = []
    starts: list[int] = []
    blanks: list[int] = []
    articles: list[list[str]] = []
    for i, line in enumerate(lines):
        if not line:
            blanks.append(len(words))
            continue
        heading = len(line) > 2 and line[0] == line[-1] == "=" != line[1]
        alone = (i == 0 or not lines[i - 1]) and (i + 1 == len(lines) or not lines[i + 1])
        if (heading and alone) or not articles:
            starts.append(len(words))
            articles.append([])
        articles[-1].append(" ".join(line))
        words += line
        words.append(EOL)
    digests = sorted(hashlib.sha256("\n".join(a).encode()).hexdigest() for a in articles)
    lengths = [b - a for a, b in zip(starts, [*starts[1:], len(words)], strict=True)]
    return words, lengths, blanks, hashlib.sha256("".join(digests).encode()).hexdigest()
