"""The study: its corpus, its rows, what it prints, and that it goes on where it stopped."""

import dataclasses
import json
import statistics

import numpy as np
import pytest
from study import ROWS, SMALL, Row, small_text
from study import __main__ as study

from autograder.corpus import Corpus, Split


def corpus():
    """Three splits of six articles of eight words, the last word of each seen nowhere else."""
    vocab = ("<unk>", *(f"w{i:02}" for i in range(1, 60)))
    generator = np.random.default_rng(0)

    def split(offset):
        ids = generator.integers(1, 20, (6, 80)).astype(np.int32)
        ids[:, -1] = np.arange(20, 26) + offset
        return Split(ids.flatten(), np.arange(0, 481, 80), np.array([0, 400]))

    return Corpus("made-up", vocab, split(0), split(10), split(20), "digest")


def test_the_small_corpus_is_the_first_articles_with_only_their_training_words():
    whole, small = corpus(), small_text(corpus(), train=3, valid=2)
    assert [len(small.split(name).articles()) for name in ("train", "valid", "test")] == [3, 2, 2]
    known = set(whole.words(whole.train.ids[:240]).split())
    assert set(small.vocab) == known | {"<unk>"}
    assert list(small.vocab) == sorted(small.vocab)
    for name, articles in (("train", 3), ("valid", 2)):
        before = whole.words(whole.split(name).ids[: 80 * articles]).split()
        after = small.words(small.split(name).ids).split()
        assert after == [word if word in known else "<unk>" for word in before]
    assert small.words(small.valid.ids).count("<unk>") >= 2  # the words seen nowhere else


def test_every_row_changes_something_and_only_what_config_knows():
    fields = {field.name for field in dataclasses.fields(SMALL)}
    assert ROWS[0].changes == {} and not ROWS[0].fixed_windows
    for row in ROWS[1:]:
        assert row.changes.keys() <= fields
        assert row.fixed_windows or row.config() != SMALL, row.name
    assert len({row.name for row in ROWS}) == len(ROWS)


def results(row, values):
    return [
        {"row": row, "settings": json.dumps({"seed": s}), "valid": v, "train": 1.0, "parameters": 1}
        for s, v in enumerate(values)
    ]


def test_the_table_gives_mean_and_spread_and_pairs_seeds_for_the_difference():
    rows = [Row("base", "techniques"), Row("other", "techniques")]
    base, other = (5.0, 5.2, 5.4), (5.1, 5.4, 5.3)
    made = study.table(rows, [*results("base", base), *results("other", other)])
    cells = [list(column.cells) for column in made.columns]
    assert cells[1] == [
        f"5.200 ± {statistics.stdev(base):.3f}",
        f"5.267 ± {statistics.stdev(other):.3f}",
    ]
    assert cells[2] == ["", f"+0.067 ± {statistics.stdev([0.1, 0.2, -0.1]):.3f}"]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The command on the made-up corpus, with models of next to no size."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study.corpora, "load", lambda _: corpus())
    small = dataclasses.replace(SMALL, embedding_size=8, hidden_size=8, cutoffs=(5,), batch_size=2)
    monkeypatch.setattr(study, "SMALL", small)
    return ["--articles", "3", "--epochs", "1", "--seeds", "2", "--threads", "1"]


def test_the_command_trains_what_is_missing_and_nothing_twice(tiny, tmp_path, monkeypatch, capsys):
    only = ["--only", "no "]
    assert study.main([*tiny, *only]) == 0
    lines = (tmp_path / "runs/study/results.jsonl").read_text().splitlines()
    count = 2 * (1 + sum("no " in row.name for row in ROWS))  # the baseline is always there
    assert len(lines) == count
    (tmp_path / "runs/study/results.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    capsys.readouterr()
    trained = []
    run = study.run
    monkeypatch.setattr(study, "run", lambda *given: trained.append(given) or run(*given))
    assert study.main([*tiny, *only]) == 0
    assert len(trained) == 1
    again = (tmp_path / "runs/study/results.jsonl").read_text().splitlines()
    first, second = json.loads(lines[-1]), json.loads(again[-1])
    assert (first.pop("seconds"), second.pop("seconds")) and first == second  # a seed is a result
    assert "validation NLL, mean ± standard deviation" in capsys.readouterr().out


def test_a_name_that_no_row_has_is_a_usage_error(tiny, capsys):
    with pytest.raises(SystemExit) as stopped:
        study.main([*tiny, "--only", "teleportation"])
    assert stopped.value.code == 2
    assert "no row has 'teleportation'" in capsys.readouterr().err
