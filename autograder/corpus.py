"""The two corpora of the kit, as arrays of word ids: WikiText-2 and `numbers`.

What it does: finds WikiText-2 (by hand, in the cache, or from the public
addresses), verifies it, encodes it once as the course did and keeps the result
as arrays that load without pickle; makes `numbers` in memory; writes the
course's own files for those who teach from them.
What it does not do: batching, fixtures, or anything with another corpus. It
imports nothing heavier than NumPy, and nothing is read or fetched at import.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder import download, wikitext
from autograder.files import atomic_write, locked
from autograder.wikitext import BY_HAND, EOL, SPLITS, CorpusError

UNK = "<unk>"
CACHE_NAME = "wikitext2.v1.npz"  # the version goes up whenever the arrays change


@dataclass(frozen=True, eq=False)
class Split:
    """The articles of one split, in one row; the arrays are read-only.

    ids: int32 [tokens], the course's counting: blank lines dropped, one `<eol>`
    closing each other line. offsets: int64 [articles + 1], article `a` being
    `ids[offsets[a]:offsets[a + 1]]`. blanks: int64 [blank lines], for each blank
    line of the file the index in `ids` before which it stands.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    blanks: NDArray[np.int64]

    def __post_init__(self) -> None:
        for array in (self.ids, self.offsets, self.blanks):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Number of tokens in the course's counting."""
        return len(self.ids)

    def articles(self, blank_lines: bool = False) -> NDArray[np.object_]:
        """The course's form: object array [articles] of int64 arrays [tokens], fresh copies.

        With `blank_lines` in the papers' counting: they follow one another as in `stream`.
        """
        ids = self.stream(blank_lines)
        offsets = self.offsets
        if blank_lines:
            # A blank line that stands before an article's first word belongs to that article.
            offsets = offsets + np.searchsorted(self.blanks, offsets, side="left")
            offsets[-1] = len(ids)
        result = np.empty(len(offsets) - 1, dtype=object)
        for a in range(len(result)):
            result[a] = ids[offsets[a] : offsets[a + 1]].copy()
        return result

    def stream(self, blank_lines: bool = False) -> NDArray[np.int64]:
        """The whole split as one row, int64 [tokens], a fresh copy.

        With `blank_lines` an `<eol>` stands for each blank line too, which is
        the papers' counting, the only one comparable with published perplexities.
        """
        ids = self.ids.astype(np.int64)
        if not blank_lines or not len(self.blanks):
            return ids
        return np.insert(ids, self.blanks, ids[-1])  # a file with lines ends with `<eol>`


@dataclass(frozen=True, eq=False)
class Corpus:
    """A vocabulary, its index being the id, and three splits.

    digest: SHA-256 in hex over vocabulary and ids, the same for any order of the
    articles, and so for the public files and a copy with shuffled articles.
    separator: what stands between two tokens where they are written as text.
    """

    name: str
    vocab: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    digest: str
    separator: str = " "

    def split(self, name: str) -> Split:
        """The split called `name`. Raises ValueError unless it is one of `SPLITS`."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; there are {', '.join(SPLITS)}")
        return getattr(self, name)

    def words(self, ids: Iterable[int] | NDArray[Any]) -> str:
        """Ids of any shape as text; an id outside the vocabulary gives `<bad id N>`."""
        flat = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids)).reshape(-1).tolist()
        size = len(self.vocab)
        return self.separator.join(
            self.vocab[i] if 0 <= i < size else f"<bad id {i}>" for i in map(int, flat)
        )

    def encode(self, text: str) -> NDArray[np.int64]:
        """Words between white space as ids, int64 [words]; `<eol>` has to be written out.

        An unknown word becomes `<unk>`; raises CorpusError where the vocabulary has none.
        """
        ids = _index(self.vocab)
        words = text.split()
        if UNK not in ids:
            unknown = sorted({word for word in words if word not in ids})
            if unknown:
                raise CorpusError(
                    f"corpus {self.name!r} has no {UNK} and does not know "
                    f"{', '.join(map(repr, unknown[:5]))}; its words: {' '.join(self.vocab[:40])}"
                )
        unk = ids.get(UNK)
        return np.array([ids.get(word, unk) for word in words], dtype=np.int64)


def load(
    name: str,
    *,
    data: str | os.PathLike[str] | None = None,
    wikitext2: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Corpus:
    """The corpus called `name`, 'wikitext2' or 'numbers', verified; never another one.

    WikiText-2 is looked for in `wikitext2` (a folder or the zip; default: the
    environment variable WIKITEXT2), then in the cache, then at the public
    addresses. `data` is the cache folder (default: LMKIT_DATA, else `data/` of
    the project). Since a cache only ever holds the verified corpus, of which
    there is but one, a cache that is there already spares reading `wikitext2`.
    `progress` shows what takes time on stderr.

    Raises CorpusError if it cannot be had, ValueError for another name.
    """
    if name == "numbers":
        return numbers()
    if name != "wikitext2":
        raise ValueError(f"no corpus {name!r}; there are 'wikitext2' and 'numbers'")
    given = wikitext2 or os.environ.get("WIKITEXT2") or None
    source = None if given is None else Path(given).expanduser()
    if source is not None:
        wikitext.locate(source)  # a wrong path is an error even when the cache would do
    folder = data_folder(data)
    cache = folder / CACHE_NAME
    corpus = _read_cache(cache)
    if corpus is not None:
        return corpus
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "wikitext2.lock", functools.partial(_say_waiting, progress)):
            corpus = _read_cache(cache)  # whoever held the lock may have built it
            if corpus is not None:
                return corpus
            fetched = None
            if source is None:
                source = fetched = download.fetch(folder / "download", progress=progress)
            corpus = _encode(wikitext.read(source), source)
            _write_cache(corpus, cache)
            if fetched is not None:
                download.clear(folder / "download")
            return corpus
    except download.DownloadError as error:
        raise CorpusError(f"WikiText-2 could not be fetched:\n{error}\n{BY_HAND}") from error
    except OSError as error:
        raise CorpusError(
            f"the data folder {folder} cannot be used ({error}); expected a folder that can be "
            "written to. Name another one with LMKIT_DATA=/path/to/folder."
        ) from error


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Where data is kept: `given`, else LMKIT_DATA, else `data/` of the project."""
    return Path(given or os.environ.get("LMKIT_DATA") or _project_root() / "data").expanduser()


def resolve(
    choice: str = "auto",
    *,
    data: str | os.PathLike[str] | None = None,
    wikitext2: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> tuple[Corpus, str | None]:
    """A corpus and, if it is a substitute, the reason why.

    'auto' gives WikiText-2, or `numbers` and the reason where WikiText-2 cannot
    be had; a name gives that corpus and None, or raises as `load` does.
    """
    if choice != "auto":
        return load(choice, data=data, wikitext2=wikitext2, progress=progress), None
    try:
        return load("wikitext2", data=data, wikitext2=wikitext2, progress=progress), None
    except CorpusError as error:
        return numbers(), str(error)


def export(corpus: Corpus, folder: str | os.PathLike[str]) -> None:
    """Write the course's own files, each whole or not at all.

    wiki.train.npy, wiki.valid.npy: object arrays of int64 arrays, one an article
    (pickled, as the course's were; the kit itself never reads them);
    vocab.npy: array of str; vocab.csv: columns Id, Token.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "valid"):
        with atomic_write(folder / f"wiki.{name}.npy") as file:
            np.save(file, corpus.split(name).articles(), allow_pickle=True)
    with atomic_write(folder / "vocab.npy") as file:
        np.save(file, np.array(corpus.vocab), allow_pickle=False)
    with atomic_write(folder / "vocab.csv", "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("Id", "Token"))
        writer.writerows(enumerate(corpus.vocab))


@functools.lru_cache(maxsize=1)
def numbers() -> Corpus:
    """The embedded corpus: 1 to 9,999 in English words, each followed by `.`.

    An article is a run of a hundred (1-99, 100-199, ..., 9900-9999). It is
    validation if the digits of its thousands and hundreds add up to 3 (mod 10),
    test if to 7, else training: so each digit is seen in each place while
    training. The vocabulary is 29 words and `.`, sorted by code point; there are
    no lines.
    """
    articles = [
        [word for n in range(max(1, start), start + 100) for word in (*_spell(n), ".")]
        for start in range(0, 10_000, 100)
    ]
    vocab = tuple(sorted({word for article in articles for word in article}))
    index = _index(vocab)
    parts: dict[str, list[list[str]]] = {name: [] for name in SPLITS}
    for i, article in enumerate(articles):
        parts[{3: "valid", 7: "test"}.get((i + i // 10) % 10, "train")].append(article)
    splits = {
        name: _split([word for article in part for word in article], map(len, part), [], index)
        for name, part in parts.items()
    }
    return Corpus("numbers", vocab, digest=_digest(vocab, splits), **splits)


def _spell(n: int) -> list[str]:
    """1 to 9,999 in words: 4321 is four thousand three hundred twenty one."""
    ones = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    ones += " fifteen sixteen seventeen eighteen nineteen"
    tens = "twenty thirty forty fifty sixty seventy eighty ninety"
    for value, unit in ((1000, "thousand"), (100, "hundred")):
        if n >= value:
            return [*_spell(n // value), unit, *(_spell(n % value) if n % value else [])]
    if n >= 20:
        return [tens.split()[n // 10 - 2], *(_spell(n % 10) if n % 10 else [])]
    return [ones.split()[n - 1]]


@functools.lru_cache(maxsize=4)
def _index(vocab: tuple[str, ...]) -> dict[str, int]:
    return {word: i for i, word in enumerate(vocab)}


def _split(
    words: list[str], lengths: Iterable[int], blanks: list[int], index: Mapping[str, int]
) -> Split:
    ids = np.fromiter(map(index.__getitem__, words), dtype=np.int32, count=len(words))
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    return Split(ids, offsets, np.array(blanks, dtype=np.int64))


def _digest(vocab: tuple[str, ...], splits: Mapping[str, Split]) -> str:
    """SHA-256 over the vocabulary and, for each split, its articles' sorted digests."""
    total = hashlib.sha256("\n".join(vocab).encode())
    for name in SPLITS:
        split = splits[name]
        ids = split.ids.astype("<i4")  # the same bytes on every machine
        bounds = zip(split.offsets[:-1], split.offsets[1:], strict=True)
        articles = sorted(hashlib.sha256(ids[a:b].tobytes()).hexdigest() for a, b in bounds)
        total.update(f"\n{name}\n{chr(10).join(articles)}".encode())
    return total.hexdigest()


def _say_waiting(progress: bool) -> None:
    if progress:
        print("another process is getting WikiText-2 ready; waiting for it", file=sys.stderr)


def _project_root() -> Path:
    return Path(__file__).resolve().parent.parent


def _encode(texts: Mapping[str, str], source: Path) -> Corpus:
    """Verify the three texts against `wikitext.KNOWN` and encode them. Raises CorpusError."""
    known = wikitext.KNOWN
    parsed = {}
    for name in SPLITS:
        words, lengths, blanks, digest = wikitext.parse(texts[name])
        if digest != known.files[name]:
            raise CorpusError(
                f"{source} is not WikiText-2: its {name} split has {len(lengths):,} articles, "
                f"{len(words):,} tokens and digest {digest}; expected {known.articles[name]:,}, "
                f"{known.tokens[name]:,} and {known.files[name]}. {BY_HAND}"
            )
        parsed[name] = words, lengths, blanks
    vocab = tuple(sorted({*parsed["train"][0], EOL}))
    index = _index(vocab)
    splits = {name: _split(*part, index) for name, part in parsed.items()}
    corpus = Corpus("wikitext2", vocab, digest=_digest(vocab, splits), **splits)
    if not _as_known(corpus):
        raise CorpusError(
            f"{source} has the words of WikiText-2 but {len(vocab):,} types and digest "
            f"{corpus.digest}; expected {known.types:,} and {known.digest}. {BY_HAND}"
        )
    return corpus


# --- the cache --------------------------------------------------------------------------------


def _as_known(corpus: Corpus) -> bool:
    """Whether counts and digest field are WikiText-2's: cheap, no hashing."""
    known = wikitext.KNOWN
    return (
        corpus.digest == known.digest
        and len(corpus.vocab) == known.types
        and all(
            len(split.offsets) - 1 == known.articles[name]
            and len(split) == split.offsets[-1] == known.tokens[name]
            and len(split) + len(split.blanks) == known.with_blanks[name]
            for name, split in ((name, corpus.split(name)) for name in SPLITS)
        )
    )


def _write_cache(corpus: Corpus, path: Path) -> None:
    arrays = {"vocab": np.frombuffer("\n".join(corpus.vocab).encode(), dtype=np.uint8)}
    arrays["digest"] = np.frombuffer(corpus.digest.encode(), dtype=np.uint8)
    for name in SPLITS:
        for field in ("ids", "offsets", "blanks"):
            arrays[f"{name}_{field}"] = getattr(corpus.split(name), field)
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def _read_cache(path: Path) -> Corpus | None:
    """The cached corpus; None if there is none or it is damaged (zip checks every byte's CRC)."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            splits = {
                name: Split(*(arrays[f"{name}_{field}"] for field in ("ids", "offsets", "blanks")))
                for name in SPLITS
            }
            vocab = tuple(arrays["vocab"].tobytes().decode().split("\n"))
            digest = arrays["digest"].tobytes().decode()
        corpus = Corpus("wikitext2", vocab, digest=digest, **splits)
        return corpus if _as_known(corpus) else None
    except FileNotFoundError:
        return None
    except Exception:  # noqa: BLE001 - damage can surface anywhere in zipfile and NumPy
        return None
