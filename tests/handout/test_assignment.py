"""ASSIGNMENT.md and training.ipynb: what they say about the kit is true of the kit."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from autograder import cli, rubric
from autograder.checks import made_up
from autograder.corpus import Corpus, numbers
from autograder.wikitext import KNOWN as WIKITEXT2

ROOT = Path(__file__).resolve().parents[2]
HANDOUT = ROOT / "handout"
TEXT = (HANDOUT / "ASSIGNMENT.md").read_text(encoding="utf-8")
STUBS = ("data_loader", "language_model", "trainer", "inference", "regularization")
MADE = ("runs/", "handin.tar", "handout/checkpoint", "checkpoint.safetensors")
MADE += ("metrics.jsonl", "steps.jsonl")

LOADER = """
import json, string, sys
import numpy as np
from data_loader import LanguageModelDataLoader
job = json.load(sys.stdin)
articles = np.empty(len(job["articles"]), dtype=object)
for i, article in enumerate(job["articles"]):
    articles[i] = np.array([string.ascii_lowercase.index(letter) for letter in article])
loader = LanguageModelDataLoader(articles, job["rows"], shuffle=False, bptt=job["bptt"])
spell = lambda batch: [" ".join(string.ascii_lowercase[i] for i in row) for row in batch.tolist()]
json.dump([[spell(inputs), spell(targets)] for inputs, targets in loader], sys.stdout)
"""
FLAGS = """
import json, sys
import train
for argv in json.load(sys.stdin):
    train.parse(argv)
"""


def python(script: str, job: object, *folders: Path) -> str:
    """Run a script in a process of its own, which imports from `folders`; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(job),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def section(heading: str) -> str:
    """The text from a heading to the next one of its level."""
    found = re.search(rf"^## {re.escape(heading)}.*?(?=^## |\Z)", TEXT, re.M | re.S)
    assert found, f"there is no section {heading!r}"
    return found[0]


def blocks(text: str) -> list[str]:
    """The bodies of fenced blocks."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)


def commands(start: str) -> list[list[str]]:
    """Every command of the text that begins with `start`, split as a shell does."""
    lines = [line for block in blocks(TEXT) for line in block.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S))
    parts = [part.strip() for text in (*lines, *spans) for part in text.split("&&")]
    return [shlex.split(part)[len(start.split()) :] for part in parts if part.startswith(start)]


def table(heading: str) -> list[list[str]]:
    """The cells of a section's tables, less headings and rules."""
    rows = re.findall(r"^\| (.+) \|$", section(heading), re.M)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows if "---" not in row]


# Points.


@pytest.mark.parametrize("corpus", ["wikitext2", "numbers"])
def test_points_and_thresholds_are_the_rubrics(corpus: str):
    rules = rubric.load(corpus)
    name = {"wikitext2": "WikiText-2"}.get(corpus, corpus)
    quoted = {row[0]: row[2] for row in table("Points") if row[1] == name}
    for problem in ("prediction", "generation"):
        steps = [step.split(" → ") for step in quoted.pop(problem).split(", ")]
        wanted = getattr(rules, problem).steps
        assert [(float(nll), float(points)) for nll, points in steps] == [*map(tuple, wanted)]
    assert quoted == {}


def test_the_bound_for_degenerate_text_is_the_rubrics():
    for corpus in ("wikitext2", "numbers"):
        bound = rubric.load(corpus).generation.max_degenerate
        assert f"If more than\n  {bound:.0%} of yours" in section("Points")


def test_checks_give_no_points_as_the_text_says():
    assert "Checks give no points" in section("Points")
    assert rubric.load("wikitext2").checks == {}


def test_the_point_between_two_steps_is_on_their_line():
    (nll, points) = re.search(r"NLL of ([\d.]+) earns (\d+\.\d+)", section("Points")).groups()
    (x0, y0), (x1, y1) = rubric.load("wikitext2").prediction.steps[:2]
    # Half points and tenths of nats: exact but for the binary rounding of 0.1.
    line = y0 + (float(nll) - x0) / (x1 - x0) * (y1 - y0)
    assert line == pytest.approx(float(points), abs=1e-9)


# Names.


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {words[0] for words in commands("make") if words}
    assert {"check", "train", "grade", "handin", "data"} <= used <= targets


def test_every_file_exists_or_is_made_by_the_kit():
    spans = re.findall(r"`([^`\s]+\.(?:py|md|toml|ipynb|tar|safetensors|png|jsonl|html))`", TEXT)
    assert len(set(spans)) > 10
    for name in set(spans):
        there = (ROOT / name).is_file() or (HANDOUT / name).is_file()
        assert there or name.startswith(MADE), name


@pytest.mark.parametrize("stub", STUBS)
def test_every_part_that_a_stub_names_is_a_heading_about_it(stub: str):
    source = (HANDOUT / f"{stub}.py").read_text(encoding="utf-8")
    parts = set(re.findall(r"see ASSIGNMENT\.md, part (\d)", source))
    assert len(parts) == 1
    found = re.search(rf"^## (Part {parts.pop()}\. .+)$", TEXT, re.M)
    assert found
    classes = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    for node in classes:
        text = section(found[1])
        assert f"`{node.name}`" in text or node.name in found[1]
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef) and method.name != "__init__":
                assert f"{method.name}(" in text, method.name


def test_every_flag_and_every_command_is_understood():
    given = [word for line in commands("make train") for word in line if word[:5] == "ARGS="]
    train = [shlex.split(word[5:]) for word in given]
    for argv in commands("python -m autograder"):
        options, rest = cli.parser().parse_known_args(argv)
        assert options.command in ("check", "train", "grade", "handin")
        train.append(rest)
    values = re.findall(r"`(--[a-z][^`]*)`", TEXT)
    train += [shlex.split(value) for value in values if value != "--run-id"] + [["--run-id", "a"]]
    assert ["--epochs", "3", "--lr", "0.002"] in train
    python(FLAGS, train, HANDOUT)


# Figures and examples.


def test_the_drawn_batches_are_those_of_the_reference_loader():
    drawing = "".join(blocks(section("Part 1")))
    articles = re.findall(r"\[([a-z](?: [a-z])+)\]", re.search("articles .*", drawing)[0])
    stream = re.search(r"stream +([a-z ]+?) {3,}int64", drawing)[1].split()
    assert [letter for article in articles for letter in article.split()] == stream
    assert re.search(r"inputs +([a-z ]+?) {3,}stream", drawing)[1].split() == stream[:-1]
    assert re.search(r"targets +([a-z ]+?) {3,}stream", drawing)[1].split() == stream[1:]
    rows = re.findall(r"^row \d +([a-z |]+?) {3,}([a-z |]+)$", drawing, re.M)
    inputs, targets = ([row[side].split(" | ") for row in rows] for side in (0, 1))
    job = {
        "articles": [article.split() for article in articles],
        "rows": len(rows),
        "bptt": len(inputs[0][0].split()),
    }
    drawn = [
        [[row[i] for row in inputs], [row[i] for row in targets]] for i in range(len(inputs[0]))
    ]
    assert len(drawn) == 2
    solution = ROOT / "solution"
    assert json.loads(python(LOADER, job, solution, HANDOUT)) == drawn


def test_the_ids_of_numbers_spell_the_words_beside_them():
    corpus = numbers()
    (ids, words) = re.search(r'^\[([\d ]+)\] +=  +"(one [^"]+)"', TEXT, re.M).groups()
    assert corpus.words(map(int, ids.split())) == words
    text = section("Part 4")
    for ids, words in re.findall(r"\[\[([\d ]+)\]\] {2,}([a-z .]+)$", text, re.M):
        assert corpus.words(map(int, ids.split())) == words
    for number, word in re.findall(r"^\d .* (\d+) +([a-z.]+)$", text, re.M):
        assert corpus.vocab[int(number)] == word


def test_the_table_of_corpora_is_true():
    corpus: Corpus = numbers()
    sizes = {
        "WikiText-2": (WIKITEXT2.types, WIKITEXT2.articles.values(), WIKITEXT2.tokens.values()),
        "numbers": (
            len(corpus.vocab),
            [len(split.articles()) for split in (corpus.train, corpus.valid, corpus.test)],
            [len(split) for split in (corpus.train, corpus.valid, corpus.test)],
        ),
    }
    for name, types, articles, words in table("The data")[1:]:
        wanted = sizes.pop(name)
        assert types == f"{wanted[0]:,}"
        assert articles == " / ".join(map(str, wanted[1]))
        assert words == " / ".join(f"{n:,}" for n in wanted[2])
    assert sizes == {}


def test_the_heading_of_wikitext2_is_its_first_six_ids(wikitext2: Corpus):
    (ids, words) = re.search(r'^\[([\d ]+)\] +=  +"(= [^"]+)"', TEXT, re.M).groups()
    assert wikitext2.train.ids[:6].tolist() == [*map(int, ids.split())]
    assert wikitext2.words(wikitext2.train.ids[:6]) == words


def test_the_share_of_common_words_is_that_of_the_training_split(wikitext2: Corpus):
    counts = np.sort(np.bincount(wikitext2.train.ids))[::-1]
    edges = [0, 500, 4_000, 12_000, len(counts)]
    shares = [counts[a:b].sum() / counts.sum() for a, b in pairwise(edges)]
    assert [row[1] for row in table("Part 2")[1:]] == [f"{share:.0%}" for share in shares]
    scores = 503 + sum(
        share * (b - a) for share, (a, b) in zip(shares[1:], pairwise(edges[1:]), strict=True)
    )
    assert f"about {round(scores, -2):,.0f} scores a word" in TEXT


def test_the_bounds_that_give_a_bug_away_are_computed_right():
    text = section("If you see this")
    large, small = WIKITEXT2.types, len(numbers().vocab)
    uniform = [math.log(v) for v in (large, made_up.vocabulary(), small)]
    quoted = "near {:.2f} on WikiText-2, {:.2f} in `make check`, {:.2f} on `numbers`"
    assert quoted.format(*uniform) in text
    # Probabilities as scores: one word has 1 and the others 0, and it is the target or it is not.
    low, high = (math.log(large - 1 + math.e) - sign for sign in (1, 0))
    assert f"between {low:.2f} and {high:.2f} on WikiText-2" in text
    low, high = (math.log(small - 1 + math.e) - sign for sign in (1, 0))
    assert f"({low:.2f} and {high:.2f} on `numbers`)" in text
    assert f"vocabulary, of {made_up.vocabulary():,} words" in section("Part 2")


def test_the_transcript_of_check_is_what_check_prints():
    (shown,) = re.findall(r"^```text\n(.*?)^```", section("What you see first"), re.M | re.S)
    environment = {**os.environ, "LMKIT_VENV": "none", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [sys.executable, "-m", "autograder", "check", str(HANDOUT)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    rest = plain(ran.stdout)
    for piece in map(plain, re.split(r"^…$", shown, flags=re.M)):
        _, found, rest = rest.partition(piece)
        assert found, f"not printed, or not in this order: {piece}"


def plain(text: str) -> str:
    """The text in one line, less line numbers, which change with every edit of a stub."""
    return re.sub(r"line \d+", "line N", " ".join(text.split()))


def test_no_text_of_wikitext2_but_one_heading():
    assert TEXT.count("Valkyria") == 1
    assert "<unk> " not in TEXT


# The notebook.


@pytest.fixture(scope="module")
def notebook() -> dict:
    return json.loads((HANDOUT / "training.ipynb").read_text(encoding="utf-8"))


def source(notebook: dict) -> list[str]:
    """The source of the code cells."""
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def test_the_notebook_is_valid_and_has_no_outputs(notebook: dict):
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        assert all(isinstance(line, str) for line in cell["source"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_every_code_cell_compiles(notebook: dict):
    for text in source(notebook):
        lines = [line for line in text.splitlines() if not line.startswith(("!", "%"))]
        compile("\n".join(lines), "training.ipynb", "exec")


def test_the_notebook_calls_commands_and_flags_that_exist(notebook: dict):
    lines = [line for text in source(notebook) for line in text.splitlines()]
    shell = [shlex.split(line[1:]) for line in lines if line.startswith("!")]
    for argv in shell:
        assert argv[:3] == ["python", "-m", "autograder"]
        cli.parser().parse_args(argv[3:])
    assert {argv[3] for argv in shell} == {"check", "grade", "handin"}
    calls = re.findall(r"train\.main\((\[.*?\])\)", "\n".join(lines))
    assert {tuple(ast.literal_eval(call)[2:4]) for call in calls} == {
        ("--corpus", "numbers"),
        ("--corpus", "wikitext2"),
    }
    argvs = [[str(ROOT / a) if a == "handout" else a for a in ast.literal_eval(c)] for c in calls]
    python(FLAGS, argvs, HANDOUT)
