"""corpus.py: the ids are the course's, and the ways to the corpus end in it or in a clear error.

Most tests use a made-up corpus with the form of WikiText-2; those that need
WikiText-2 itself take the `wikitext2` fixture.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import http.server
import itertools
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autograder import corpus, download, wikitext
from autograder.characters import characters
from autograder.corpus import Corpus, CorpusError, Split
from autograder.wikitext import Expected

ROOT = Path(__file__).resolve().parents[2]
SPLITS = ("train", "valid", "test")
TINY = {
    "train": " \n = Ant = \n \n the ant , <unk> \n a line \n \n = = Life = = \n \n the end \n"
    " \n = Bee = \n \n zoé the bee = \n = no heading = \n \n",
    "valid": " \n = Bee = \n \n the <unk> \n",
    "test": " \n = Ant = \n \n the line \n \n = Life = \n \n \n a bee \n",
}
# Written out by hand from TINY: words, `<eol>` as |.
BY_HAND = {
    "train": [
        "= Ant = | the ant , <unk> | a line | = = Life = = | the end |",
        "= Bee = | zoé the bee = | = no heading = |",
    ],
    "valid": ["= Bee = | the <unk> |"],
    "test": ["= Ant = | the line |", "= Life = | a bee |"],
}
BLANKS = {"train": 7, "valid": 2, "test": 5}


def by_hand(name: str) -> list[list[str]]:
    return [article.replace("|", "<eol>").split() for article in BY_HAND[name]]


def text_digest(name: str) -> str:
    """The shared README's digest, from the text written out by hand."""
    articles = []
    for article in BY_HAND[name]:
        lines = [line.strip() for line in article.rstrip("|").split("|")]
        articles.append(hashlib.sha256("\n".join(lines).encode()).hexdigest())
    return hashlib.sha256("".join(sorted(articles)).encode()).hexdigest()


def words_of(split: Split, vocab: tuple[str, ...]) -> list[list[str]]:
    return [[vocab[i] for i in article] for article in split.articles()]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WIKITEXT2", "LMKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "ADDRESSES", ())  # nothing here goes out to the network


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the made-up corpus, which is the one that corpus.py expects."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name, text in TINY.items():
        (folder / f"wiki.{name}.tokens").write_bytes(text.encode())
    lengths = {name: [len(article) for article in by_hand(name)] for name in SPLITS}
    known = Expected(
        types=len({word for article in by_hand("train") for word in article}),
        articles={name: len(lengths[name]) for name in SPLITS},
        tokens={name: sum(lengths[name]) for name in SPLITS},
        with_blanks={name: sum(lengths[name]) + BLANKS[name] for name in SPLITS},
        files={name: text_digest(name) for name in SPLITS},
        digest="",
    )
    monkeypatch.setattr(wikitext, "KNOWN", known)
    with pytest.raises(CorpusError) as caught:  # the one field not written by hand
        load(folder, tmp_path / "nowhere")
    digest = str(caught.value).split("digest ")[1].split(";")[0]
    monkeypatch.setattr(wikitext, "KNOWN", dataclasses.replace(known, digest=digest))
    return folder


def load(source: Path | None, data: Path) -> Corpus:
    return corpus.load("wikitext2", data=data, wikitext2=source, progress=False)


def zipped(source: Path, path: Path, below: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in source.iterdir():
            archive.write(file, below + file.name)
    return path


def assert_same(a: Corpus, b: Corpus) -> None:
    assert (a.name, a.vocab, a.digest) == (b.name, b.vocab, b.digest)
    for name in SPLITS:
        for field in ("ids", "offsets", "blanks"):
            x, y = getattr(a.split(name), field), getattr(b.split(name), field)
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


# --- encoding, on the made-up corpus ----------------------------------------------------------


def test_articles_hold_the_words_written_out_by_hand(source, tmp_path):
    made = load(source, tmp_path / "data")
    for name in SPLITS:
        assert words_of(made.split(name), made.vocab) == by_hand(name)


def test_the_vocabulary_is_the_training_types_by_code_point(source, tmp_path):
    vocab = load(source, tmp_path / "data").vocab
    expected = ", <eol> <unk> = Ant Bee Life a ant bee end heading line no the zoé"
    assert vocab == tuple(expected.split())


def test_a_stream_with_blank_lines_has_an_eol_for_every_line(source, tmp_path):
    made = load(source, tmp_path / "data")
    for name in SPLITS:
        papers = [word for line in TINY[name].splitlines() for word in (*line.split(), "<eol>")]
        course = [word for article in by_hand(name) for word in article]
        split = made.split(name)
        assert made.words(split.stream(blank_lines=True)).split() == papers
        assert made.words(split.stream()).split() == course
        assert len(split) == len(course)


def test_articles_with_blank_lines_join_to_the_papers_stream_and_split_as_the_course_does(
    source, tmp_path
):
    made = load(source, tmp_path / "data")
    eol = made.vocab.index("<eol>")
    for name in SPLITS:
        split = made.split(name)
        papers, course = split.articles(blank_lines=True), split.articles()
        np.testing.assert_array_equal(np.concatenate(papers), split.stream(blank_lines=True))
        for long, short in zip(papers, course, strict=True):
            # a blank line's <eol> follows another <eol> or opens the article
            pairs = itertools.pairwise([eol, *long])
            assert [i for before, i in pairs if not before == i == eol] == short.tolist()


def test_characters_spell_the_same_text_article_by_article(source, tmp_path):
    made = load(source, tmp_path / "data")
    letters = characters(made)
    for name in SPLITS:
        pairs = zip(made.split(name).articles(), letters.split(name).articles(), strict=True)
        for by_word, by_letter in pairs:
            text = made.words(by_word) + " "
            assert letters.words(by_letter) == text.replace("<eol> ", "\n")
        # a blank line stands before the same word
        for in_words, in_letters in zip(
            made.split(name).blanks, letters.split(name).blanks, strict=True
        ):
            text = made.words(made.split(name).ids[:in_words]).replace("<eol>", "\n")
            assert letters.words(letters.split(name).ids[:in_letters]).split() == text.split()
    assert "<unk>" in letters.vocab and "\n" in letters.vocab and "\n" not in made.vocab
    assert all(len(symbol) == 1 for symbol in letters.vocab if symbol != "<unk>")
    assert letters.name == "wikitext2-chars"


def test_shapes_and_dtypes_are_as_promised(source, tmp_path):
    split = load(source, tmp_path / "data").train
    assert (split.ids.dtype, split.offsets.dtype, split.blanks.dtype) == (
        np.int32,
        np.int64,
        np.int64,
    )
    articles = split.articles()
    assert articles.dtype == object and articles.shape == (2,)
    assert {article.dtype for article in articles} == {np.dtype(np.int64)}
    assert split.stream().dtype == split.stream(blank_lines=True).dtype == np.int64


def test_equally_long_articles_stay_an_object_array():
    split = Split(np.arange(4, dtype=np.int32), np.array([0, 2, 4]), np.array([], dtype=np.int64))
    assert split.articles().shape == (2,)
    np.testing.assert_array_equal(split.articles()[1], [2, 3])


def test_a_corpus_cannot_be_changed_through_what_it_gives_out(source, tmp_path):
    split = load(source, tmp_path / "data").train
    before = split.ids.copy()
    split.stream()[:] = 0
    split.articles()[0][:] = 0
    with pytest.raises(ValueError, match="read-only"):
        split.ids[0] = 0
    np.testing.assert_array_equal(split.ids, before)


def test_words_and_encode_are_each_others_inverse(source, tmp_path):
    made = load(source, tmp_path / "data")
    ids = made.train.stream()
    np.testing.assert_array_equal(made.encode(made.words(ids)), ids)
    assert made.encode("").dtype == np.int64


def test_an_id_outside_the_vocabulary_is_named_not_wrapped_around(source, tmp_path):
    made = load(source, tmp_path / "data")
    assert made.words([-1, 0, len(made.vocab)]) == "<bad id -1> , <bad id 16>"
    assert made.words(np.array([[0], [3]])) == ", ="


def test_an_unknown_word_is_unk_where_there_is_one_and_an_error_elsewhere(source, tmp_path):
    made = load(source, tmp_path / "data")
    assert made.words(made.encode("the wasp")) == "the <unk>"
    with pytest.raises(CorpusError, match="'wasp'"):
        corpus.numbers().encode("one wasp")


def test_an_unknown_split_is_an_error_with_the_names(source, tmp_path):
    with pytest.raises(ValueError, match="train, valid, test"):
        load(source, tmp_path / "data").split("dev")


def test_the_digest_does_not_depend_on_the_order_of_articles_but_on_every_word(source, tmp_path):
    made = load(source, tmp_path / "data")
    first, second = made.train.articles()
    shuffled = Split(
        np.concatenate([second, first]).astype(np.int32),
        np.array([0, len(second), len(second) + len(first)]),
        made.train.blanks,
    )
    others = {"valid": made.valid, "test": made.test}
    assert corpus._digest(made.vocab, {"train": shuffled, **others}) == made.digest
    ids = made.train.ids.copy()
    ids[5] += 1
    changed = dataclasses.replace(made.train, ids=ids)
    assert corpus._digest(made.vocab, {"train": changed, **others}) != made.digest


# --- the ways to WikiText-2 -------------------------------------------------------------------


def test_folders_and_zips_in_either_naming_give_the_same_corpus(source, tmp_path):
    expected = load(source, tmp_path / "0")
    plain = tmp_path / "txt" / "wikitext-2"
    plain.mkdir(parents=True)
    for name in SPLITS:  # with another system's line ends
        (plain / f"{name}.txt").write_bytes(TINY[name].replace("\n", "\r\n").encode())
    ways = [
        plain,
        plain.parent,
        zipped(source, tmp_path / "flat.zip"),
        zipped(source, tmp_path / "deep.zip", "wikitext-2/"),
        zipped(plain, tmp_path / "txt.zip"),
    ]
    for i, way in enumerate(ways):
        assert_same(load(way, tmp_path / f"data {i}"), expected)


def test_environment_variables_name_the_source_and_the_cache(source, tmp_path, monkeypatch):
    monkeypatch.setenv("WIKITEXT2", str(source))
    monkeypatch.setenv("LMKIT_DATA", str(tmp_path / "mine"))
    corpus.load("wikitext2", progress=False)
    assert (tmp_path / "mine" / corpus.CACHE_NAME).is_file()


def test_the_cache_gives_the_same_corpus_without_the_source(source, tmp_path):
    built = load(source, tmp_path / "data")
    for path in source.iterdir():
        path.unlink()
    assert_same(load(None, tmp_path / "data"), built)


def test_the_cache_spares_reading_the_source(source, tmp_path, monkeypatch):
    load(source, tmp_path / "data")
    monkeypatch.setattr(wikitext, "read", lambda source: pytest.fail("read again"))
    load(source, tmp_path / "data")


def test_the_cache_holds_no_pickle(source, tmp_path):
    load(source, tmp_path / "data")
    with np.load(tmp_path / "data" / corpus.CACHE_NAME, allow_pickle=False) as arrays:
        assert not any(arrays[key].dtype.hasobject for key in arrays.files)


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "flipped", "foreign", "folder"])
def test_a_damaged_cache_is_built_anew(source, tmp_path, damage):
    path = tmp_path / "data" / corpus.CACHE_NAME
    built = load(source, tmp_path / "data")
    raw = path.read_bytes()
    at = raw.index(built.train.ids.tobytes())
    damaged = {
        "empty": b"",
        "garbage": b"no zip at all",
        "cut": raw[: len(raw) // 2],
        "flipped": raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :],
    }
    if damage in damaged:
        path.write_bytes(damaged[damage])
    else:  # a whole file of the right form that is some other corpus
        corpus._write_cache(dataclasses.replace(corpus.numbers(), name="wikitext2"), path)
    assert_same(load(source, tmp_path / "data"), built)
    assert path.read_bytes() == raw


def test_no_single_flipped_byte_gives_a_traceback_or_another_corpus(source, tmp_path):
    path = tmp_path / "data" / corpus.CACHE_NAME
    built = load(source, tmp_path / "data")
    raw = path.read_bytes()
    for at in np.random.default_rng(0).choice(len(raw), 150, replace=False):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
        found = corpus._read_cache(path)
        if found is not None:  # a byte that nothing reads, such as a date
            assert_same(found, built)


def test_an_interrupt_while_caching_leaves_nothing_half_made(source, tmp_path, monkeypatch):
    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(source, tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["wikitext2.lock"]
    load(source, tmp_path / "data")


def test_many_at_once_build_one_cache(source, tmp_path, monkeypatch):
    built, results, write = [], [], corpus._write_cache
    monkeypatch.setattr(corpus, "_write_cache", lambda *a: (built.append(1), write(*a)))
    threads = [
        threading.Thread(target=lambda: results.append(load(source, tmp_path / "data")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6 and len(built) == 1


def test_a_source_that_does_not_exist_is_an_error_even_with_a_cache(source, tmp_path):
    load(source, tmp_path / "data")
    with pytest.raises(CorpusError, match=r"does not exist.*run again with WIKITEXT2="):
        load(tmp_path / "typo", tmp_path / "data")


def test_other_text_is_an_error_with_seen_and_expected(source, tmp_path):
    path = source / "wiki.valid.tokens"
    path.write_text(TINY["valid"] + " = Cow = \n", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        load(source, tmp_path / "data")
    message = str(caught.value)
    assert "valid split has 1 articles, 11 tokens" in message
    assert text_digest("valid") in message and "WIKITEXT2=" in message
    assert not (tmp_path / "data" / corpus.CACHE_NAME).exists()


def test_a_missing_file_is_an_error_with_what_is_there(source, tmp_path):
    (source / "wiki.test.tokens").unlink()
    with pytest.raises(CorpusError, match=r"holds wiki.train.tokens, wiki.valid.tokens; expected"):
        load(source, tmp_path / "data")


def test_a_zip_cut_short_is_an_error_with_both_sizes(source, tmp_path):
    path = zipped(source, tmp_path / "cut.zip")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorpusError, match=r"no whole zip file.*100 bytes, expected 4,475,746"):
        load(path, tmp_path / "data")


def test_a_damaged_member_of_a_zip_is_an_error(source, tmp_path):
    path = zipped(source, tmp_path / "bad.zip")
    path.write_bytes(path.read_bytes().replace(b"zo", b"ZO", 1))
    with pytest.raises(CorpusError, match="cannot be read: Bad CRC-32"):
        load(path, tmp_path / "data")


def test_text_that_is_no_utf8_is_an_error(source, tmp_path):
    (source / "wiki.test.tokens").write_bytes(b"\xff\n")
    with pytest.raises(CorpusError, match=r"cannot be read: 'utf-8'"):
        load(source, tmp_path / "data")


def test_a_data_folder_that_cannot_be_used_is_an_error_that_names_lmkit_data(source, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CorpusError, match="LMKIT_DATA="):
        load(source, tmp_path / "file")


def test_an_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="'wikitext2' and 'numbers'"):
        corpus.load("ptb")


def test_a_fetched_zip_becomes_the_cache_and_is_removed(source, tmp_path, monkeypatch):
    path = zipped(source, tmp_path / "z.zip", "wikitext-2/")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        url = f"http://127.0.0.1:{server.server_port}/z.zip"
        file = download.File(url, "z.zip", path.stat().st_size, f"sha256:{digest}")
        monkeypatch.setattr(download, "ADDRESSES", (download.Address((file,), "z.zip"),))
        made = load(None, tmp_path / "data")
        server.shutdown()
        thread.join()
    assert_same(made, load(source, tmp_path / "other"))
    left = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert left == ["wikitext2.lock", corpus.CACHE_NAME]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


DEAD = download.Address(
    (download.File("http://127.0.0.1:9/dead.zip", "dead.zip", 1, "sha256:"),), "dead.zip"
)


def test_without_source_cache_and_network_the_error_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ADDRESSES", (DEAD,))
    with pytest.raises(CorpusError) as caught:
        load(None, tmp_path / "data")
    message = str(caught.value)
    assert "- http://127.0.0.1:9/dead.zip: " in message and "WIKITEXT2=" in message


def test_auto_falls_back_with_the_reason_and_a_name_never_does(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ADDRESSES", (DEAD,))
    found, reason = corpus.resolve("auto", data=tmp_path, progress=False)
    assert found.name == "numbers" and reason is not None and "could not be fetched" in reason
    with pytest.raises(CorpusError):
        corpus.resolve("wikitext2", data=tmp_path, progress=False)
    assert corpus.resolve("numbers") == (corpus.numbers(), None)


def test_auto_gives_wikitext2_where_it_is(source, tmp_path):
    found, reason = corpus.resolve(data=tmp_path / "data", wikitext2=source, progress=False)
    assert found.name == "wikitext2" and reason is None


def test_the_exported_files_are_the_courses(source, tmp_path):
    made = load(source, tmp_path / "data")
    corpus.export(made, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["vocab.csv", "vocab.npy", "wiki.train.npy", "wiki.valid.npy"]
    vocab = np.load(tmp_path / "out" / "vocab.npy", allow_pickle=False)
    assert vocab.tolist() == list(made.vocab)
    for name in ("train", "valid"):
        # Our own file of a moment ago: the one place where a pickle is read.
        articles = np.load(tmp_path / "out" / f"wiki.{name}.npy", allow_pickle=True)
        assert [article.dtype for article in articles] == [np.int64] * len(articles)
        assert [[vocab[i] for i in article] for article in articles] == by_hand(name)
    with open(tmp_path / "out" / "vocab.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["Id", "Token"], *([str(i), word] for i, word in enumerate(made.vocab))]


def test_importing_the_module_brings_in_nothing_heavy():
    code = (
        "import sys, autograder.corpus; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- numbers ----------------------------------------------------------------------------------

UNITS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
UNITS += " sixteen seventeen eighteen nineteen"
VALUES = {word: i for i, word in enumerate(UNITS.split(), 1)}
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES |= {word: 10 * i for i, word in enumerate(TENS, 2)}


def value(words: list[str]) -> int:
    """What a number in words says: the other way round from how it was made."""
    thousands = below = 0
    for word in words:
        if word == "thousand":
            thousands, below = 1000 * below, 0
        elif word == "hundred":
            below *= 100
        else:
            below += VALUES[word]
    return thousands + below


def numbers_of(split: Split) -> list[list[int]]:
    vocab = corpus.numbers().vocab
    sentences = [" ".join(article).split(" .") for article in words_of(split, vocab)]
    assert all(article[-1] == "" for article in sentences)  # every number is closed by `.`
    return [[value(number.split()) for number in article[:-1]] for article in sentences]


def test_every_number_from_1_to_9999_stands_in_its_article_and_split():
    made = corpus.numbers()
    runs = [list(range(max(1, start), start + 100)) for start in range(0, 10_000, 100)]
    for name, sums in (("valid", {3, 13}), ("test", {7, 17})):
        # The digits of 1,200 add up to 3: f"{12:02}" are its thousands and hundreds.
        assert numbers_of(made.split(name)) == [
            run for i, run in enumerate(runs) if sum(map(int, f"{i:02}")) in sums
        ]
    held_out = numbers_of(made.valid) + numbers_of(made.test)
    assert numbers_of(made.train) == [run for run in runs if run not in held_out]
    assert all(len(made.split(name).blanks) == 0 for name in SPLITS)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, "one"),
        (10, "ten"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty two"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (101, "one hundred one"),
        (815, "eight hundred fifteen"),
        (1000, "one thousand"),
        (1001, "one thousand one"),
        (2040, "two thousand forty"),
        (9999, "nine thousand nine hundred ninety nine"),
    ],
)
def test_numbers_are_spelt_without_and_or_hyphen(n, words):
    made = corpus.numbers()
    text = {name: f" . {made.words(made.split(name).stream())} " for name in SPLITS}
    home = {3: "valid", 7: "test"}.get((n // 1000 + n // 100) % 10, "train")
    assert sum(text[name].count(f" . {words} . ") for name in SPLITS) == 1
    assert f" . {words} . " in text[home]


def test_the_vocabulary_of_numbers_is_29_words_and_a_full_stop():
    vocab = corpus.numbers().vocab
    assert set(vocab) == {*VALUES, "hundred", "thousand", "."}
    assert len(vocab) == 30 and list(vocab) == sorted(vocab)


def test_numbers_never_change():
    # Shipped weights were trained on these ids; a new digest means to train them again.
    digest = "879a33203a58f42da93ed2731f8e7a0044406d1661419e217b80a4bc33a2064b"
    assert corpus.numbers().digest == digest


# --- WikiText-2 itself ------------------------------------------------------------------------


def test_wikitext2_has_the_check_values_of_the_course(wikitext2):
    assert len(wikitext2.vocab) == 33_278 and wikitext2.vocab[1417] == "<eol>"
    assert list(wikitext2.vocab) == sorted(wikitext2.vocab)
    assert wikitext2.train.ids[:6].tolist() == [1420, 13859, 3714, 7036, 1420, 1417]
    assert len(wikitext2.train.articles()[0]) == 3_803
    counts = {
        name: (len(split.articles()), len(split), len(split.stream(blank_lines=True)))
        for name, split in ((name, wikitext2.split(name)) for name in SPLITS)
    }
    assert counts == {
        "train": (600, 2_075_677, 2_088_628),
        "valid": (60, 216_347, 217_646),
        "test": (60, 244_102, 245_569),
    }


@pytest.mark.parametrize("name", ["valid", "test"])
def test_wikitext2_reads_back_as_its_file(wikitext2, wikitext2_source, name):
    path = wikitext2_source / f"wiki.{name}.tokens"
    if not path.is_file():
        pytest.skip("WIKITEXT2 is not a folder with wiki.*.tokens")
    text = path.read_text(encoding="utf-8")
    split = wikitext2.split(name)
    papers = text.replace("\n", " <eol> ").split()
    assert wikitext2.words(split.stream(blank_lines=True)) == " ".join(papers)
    course = [
        word for line in text.split("\n") if line.strip() for word in (line + " <eol>").split()
    ]
    assert wikitext2.words(split.stream()) == " ".join(course)
    for article in split.articles():  # each begins with `= Title = <eol>`
        first = wikitext2.words(article[: article.tolist().index(1417)]).split()
        assert first[0] == first[-1] == "=" != first[1]
