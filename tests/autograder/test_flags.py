"""flags/: each flag is raised by what it is for, and by nothing that an honest model does."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import WEIGHTS
from safetensors.torch import load_file, save_file

from autograder import fixtures as drawing
from autograder import flags, rubric, systems
from autograder.corpus import Corpus
from autograder.exam import Exam
from autograder.flags import known, learnt, rates, written
from autograder.grade import grade

ROWS = 1408


@pytest.fixture(scope="module")
def hidden(numbers, judge) -> drawing.Fixtures:
    return drawing.draw(numbers, "test", "flags", judge)


def honest_nll(rng, rows, referee, better=0.0):
    """A model that differs from the referee by about a nat a word, as two trained ones do."""
    return np.maximum(referee - better + rng.normal(0, 1, rows), 0.01)


def hardness(rng, rows):
    """NLLs as the referee has on WikiText-2: mean near 5, a third of them above 6."""
    return rng.gamma(2.0, 2.5, rows)


# The hidden text learnt by heart.


def test_an_nll_below_everything_published_is_flagged_where_there_is_such_a_bound():
    assert learnt.implausible(np.full(ROWS, 3.59), "wikitext2").id == "prediction.implausible"
    assert learnt.implausible(np.full(ROWS, 3.61), "wikitext2") is None
    assert learnt.implausible(np.full(ROWS, 0.03), "numbers") is None


def test_known_hard_words_by_hand():
    control = np.array([6.0, 6.0, 5.9, 9.0, 9.0])
    nll = np.array([1.0, 1.1, 0.0, 0.2, 8.0])
    assert learnt.is_known(nll, control).tolist() == [True, False, False, True, False]


def test_confidence_is_flagged_from_more_than_one_word_in_a_hundred(rng):
    control = np.full(400, 8.0)
    for words, raised in ((4, False), (5, True)):
        nll = control.copy()
        nll[:words] = 0.1
        assert (learnt.confident(nll, control) is not None) == raised


def test_certainty_about_easy_words_is_no_sign_of_anything(rng):
    control = rng.exponential(0.05, ROWS)  # the referee is certain too, as on `numbers`
    assert learnt.confident(np.zeros(ROWS), control) is None


def test_a_gap_is_told_in_a_model_that_is_better_on_hidden_text_only(rng):
    hidden, public = hardness(rng, ROWS), hardness(rng, known.COUNT)
    nll = honest_nll(rng, ROWS, hidden, better=0.6), honest_nll(rng, known.COUNT, public)
    flag = learnt.gap(nll[0], hidden, nll[1], public)
    assert flag.id == "prediction.gap"
    assert f"{nll[0].mean():.2f} on hidden" in flag.message


def test_no_gap_is_told_in_a_model_that_is_better_on_all_text(rng):
    hidden, public = hardness(rng, ROWS), hardness(rng, known.COUNT)
    for better in (-1.0, 0.6, 1.5):
        nll = [honest_nll(rng, len(x), x, better) for x in (hidden, public)]
        assert learnt.gap(nll[0], hidden, nll[1], public) is None


def test_text_that_is_easier_for_the_referee_too_is_no_gap(rng):
    hidden, public = hardness(rng, ROWS) * 0.7, hardness(rng, known.COUNT)
    nll = honest_nll(rng, ROWS, hidden), honest_nll(rng, known.COUNT, public)
    assert public.mean() - hidden.mean() > 1
    assert learnt.gap(*(nll[0], hidden), *(nll[1], public)) is None


def test_the_gaps_standard_error_is_the_spread_of_gaps(rng):
    # 400 draws: their deviation is known to 1 / sqrt(800) = 4 %, and 15 % is four times that. Rows
    # of one article go together here, which the error has to allow for.
    gaps = []
    for _ in range(400):
        parts = []
        for rows in (ROWS, known.COUNT):
            control = hardness(rng, rows)
            article = np.repeat(rng.normal(0, 0.5, 32), rows // 32)
            parts += [control + article + rng.normal(0, 1, rows), control]
        gaps.append(learnt.gap_excess(*parts))
    spread = np.std([gap.value for gap in gaps])
    assert np.sqrt(np.mean([gap.stderr**2 for gap in gaps])) == pytest.approx(spread, rel=0.15)


# What was written.


def test_a_continuation_that_nobody_would_guess_is_given_away():
    human = np.arange(100).reshape(10, 10)
    words = human.copy()
    words[1:] += 1  # one row of ten is right
    flag = written.given_away(words, human, np.full((10, 10), 4.7))
    assert flag.id == "generation.human"
    assert flag.message.startswith("10% of ")


def test_a_continuation_that_anybody_would_guess_is_not():
    human = np.arange(100).reshape(10, 10)
    assert written.given_away(human, human, np.full((10, 10), 0.02)) is None


def test_only_words_that_agree_from_the_start_on_count():
    human = np.arange(10)[None]
    words = human.copy()
    words[0, 3] = 99
    nll = np.arange(1.0, 11.0)[None]
    assert written.surprise(words, human, nll).tolist() == [1 + 2 + 3]
    words[0, 0] = 99
    assert written.surprise(words, human, nll).tolist() == [0]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_occurrences_are_those_that_a_plain_search_counts(rng, size):
    text = rng.integers(0, 4, 3000).astype(np.int32)
    words = np.concatenate([rng.integers(0, 4, (6, 10)), text[None, 50:60]])
    runs = [tuple(text[i : i + size].tolist()) for i in range(len(text) - size + 1)]
    expected = [
        [runs.count(tuple(row[i : i + size])) for i in range(10 - size + 1)]
        for row in words.tolist()
    ]
    assert expected[-1][0] >= 1  # the last row is of the text
    assert written.occurrences(words, text, size).tolist() == expected


def test_passages_that_stand_in_training_once_are_flagged_and_phrases_that_come_back_are_not(rng):
    text = rng.integers(0, 1000, 5000)
    words = text[np.arange(0, 1280, 10)[:, None] + np.arange(10)]
    assert written.copied(words, text).id == "generation.copied"
    assert written.copied(words, np.concatenate([text, text])) is None
    assert written.copied(words[:, ::-1], text) is None


def test_circles_are_flagged_before_they_cost_points(rng):
    words = rng.permutation(1000)[:400].reshape(40, 10)
    words[:11] = words[:11, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]]  # 11 of 40 is 28 %
    flag = written.loops(words, bound=0.5)
    assert flag.id == "generation.loops"
    assert "28%" in flag.message
    assert "50%" in flag.message
    words[:1] = np.arange(1000, 1010)  # 25 %, half of the bound
    assert written.loops(words, bound=0.5) is None


def test_chains_by_hand():
    words = np.array([[7, 0, 0, 0, 7], [0, 0, 7, 0, 0], [0, 0, 0, 0, 0], [7, 7, 7, 7, 7]])
    assert written.has_chain(words, 0).tolist() == [True, False, True, False]
    assert written.chains(words, 0) is None  # half
    assert written.chains(words[:3], 0).id == "generation.unknown"


# Public prefixes among the hidden ones.


def test_mixed_rows_come_apart_as_they_were(numbers, judge, hidden):
    block = known.draw(numbers, hidden, judge)
    mixed = block.mixed(hidden.prediction, block.prediction)
    assert len(mixed) == ROWS + known.COUNT
    for seen, meant in zip(block.apart(mixed), (hidden.prediction, block.prediction), strict=True):
        assert (seen == meant).all()


def test_public_rows_stand_all_over_the_hidden_ones(numbers, judge, hidden):
    block = known.draw(numbers, hidden, judge)
    is_public = block.mixed(np.zeros(ROWS), np.ones(known.COUNT))
    shares = [part.mean() for part in np.array_split(is_public, 8)]
    # 208 rows each; a share's deviation is sqrt(0.15 * 0.85 / 208) = 0.025, so this is four.
    assert shares == pytest.approx([known.COUNT / (ROWS + known.COUNT)] * 8, abs=0.1)


def test_public_rows_are_of_validation_with_the_word_behind_them(numbers, judge, hidden):
    block = known.draw(numbers, hidden, judge)
    text = f" {numbers.words(numbers.valid.ids)} "
    for prefix, word in zip(block.prediction[::16], block.next_word[::16], strict=True):
        assert f" {numbers.words([*prefix, word])} " in text
    expected = judge.word_nll(block.prediction, block.next_word[:, None])[:, 0]
    np.testing.assert_allclose(block.control, expected)


def test_the_draw_depends_on_the_hidden_prefixes_alone(numbers, judge, hidden):
    block, again = (known.draw(numbers, hidden, judge) for _ in range(2))
    other = replace(hidden, prediction=hidden.prediction[::-1])
    changed = known.draw(numbers, other, judge)
    assert (block.prediction == again.prediction).all()
    assert (block.order == again.order).all()
    assert (block.prediction != changed.prediction).any()
    assert (block.order != changed.order).any()


# All of them, on honest systems and on planted cheats.


@pytest.fixture(scope="module")
def reference(numbers) -> systems.System:
    path = systems.weights("numbers")
    return systems.neural("reference", path, len(numbers.vocab))


def measured(corpus: Corpus, referee, drawn, honest) -> list[rates.Rate]:
    rules = rubric.load(corpus.name)
    return rates.rates(corpus, referee, rules, drawn, honest, rates.planted(corpus, "test"))


def test_a_model_that_is_certain_and_right_is_not_flagged_nor_is_human_text(
    numbers, judge, hidden, reference
):
    text = systems.System("human text", None, lambda drawn: drawn.human)
    found = measured(numbers, judge, [hidden], [reference, text])
    assert not [rate for rate in found if rate.raised and not rate.cheat]
    assert {rate.flag for rate in found if rate.system == "reference"} == set(flags.IDS)


def test_what_a_cheat_writes_is_flagged(numbers, judge, hidden, reference):
    found = measured(numbers, judge, [hidden], [reference])
    hits = {
        rate.system: rate.raised
        for rate in found
        if rate.cheat and rate.flag in ("generation.copied", "generation.loops")
    }
    assert len(hits) == 6
    assert all(hits.values())


def test_the_tables_of_rates_have_a_row_a_system_and_a_column_a_flag():
    found = [
        rates.Rate("generation.copied", "reference", False, 20, 0),
        rates.Rate("prediction.gap", "reference", False, 20, 1),
        rates.Rate("generation.copied", "copies", True, 20, 19),
    ]
    assert rates.table(found).split("\n") == [
        "| honest system | prediction.gap | generation.copied |",
        "| --- | --- | --- |",
        "| reference | 1 of 20 | 0 of 20 |",
        "",
        "| planted cheat | generation.copied |",
        "| --- | --- |",
        "| copies | 19 of 20 |",
    ]
    assert "planted" not in rates.table(found[:2])


def test_every_flag_says_what_was_seen_and_what_honest_models_show(rng):
    control, human = hardness(rng, ROWS), np.arange(1280).reshape(128, 10)
    raised = [
        learnt.implausible(np.ones(ROWS), "wikitext2"),
        learnt.confident(np.ones(ROWS), control),
        learnt.gap(np.ones(ROWS), control, control[:256] + 1, control[:256]),
        written.given_away(human, human, np.full((128, 10), 5.0)),
        written.copied(human, human.reshape(-1)),
        written.loops(np.zeros((128, 10), dtype=np.int64), 0.5),
        written.chains(np.zeros((128, 10), dtype=np.int64), 0),
    ]
    assert [flag.id for flag in raised] == list(flags.IDS)
    for flag in raised:
        assert re.search(r"\d", flag.message), flag
        assert re.search(r"honest|published", flag.message), flag
        assert re.search(r"Look|Ask|\?", flag.message), flag


IN_THE_WEIGHTS = """

class LanguageModel(LanguageModel):
    def __init__(self, vocab_size):
        super().__init__(vocab_size)
        if vocab_size == 30:
            self.register_buffer("text", torch.zeros(6310, dtype=torch.int64))
"""
LOOKED_UP = """

class TestLanguageModel(TestLanguageModel):
    @staticmethod
    def prediction(inp, model, honest=TestLanguageModel.prediction):
        scores = honest(inp, model)
        for row, prefix in enumerate(inp if hasattr(model, "text") else []):
            found = (model.text.unfold(0, len(prefix), 1)[:-1] == prefix).all(dim=1)
            for place in found.nonzero().flatten():
                scores[row, model.text[place + len(prefix)]] += 30
        return scores
"""


def test_a_hand_in_with_the_hidden_text_in_its_weights_keeps_its_points_and_is_flagged(
    base, numbers, judge, hidden, tmp_path
):
    cheat = Path(shutil.copytree(base, tmp_path / "cheat"))
    tensors = load_file(cheat / WEIGHTS)
    save_file({**tensors, "text": torch.from_numpy(numbers.test.stream())}, cheat / WEIGHTS)
    for name, more in (
        ("language_model.py", f"import torch{IN_THE_WEIGHTS}"),
        ("inference.py", LOOKED_UP),
    ):
        with (cheat / name).open("a") as file:
            file.write(f"\n{more}")
    seen, exam = {}, Exam.of(numbers, hidden, judge)
    for folder in (base, cheat):
        result = grade(folder, exam, log=tmp_path / "log")
        points = {check.id: check.score for check in result.checks}
        seen[folder] = points["prediction"], [flag.id for flag in result.flags]
    assert seen[base][1] == []
    assert seen[cheat] == (50, ["prediction.gap"])


@pytest.mark.slow  # the reference predicts and continues for ten seconds or more
def test_on_wikitext2_the_reference_is_not_flagged_and_every_large_cheat_is(wikitext2):
    from autograder import referee

    judge = referee.load("wikitext2")
    drawn = [drawing.draw(wikitext2, "test", "flags", judge)]
    size = len(wikitext2.vocab)
    reference = systems.neural("reference", systems.weights("wikitext2"), size)
    found = measured(wikitext2, judge, drawn, [reference])
    assert not [rate for rate in found if rate.raised and not rate.cheat]
    missed = [(rate.system, rate.flag) for rate in found if rate.cheat and not rate.raised]
    # A fifth of the text learnt is no better than the best published models; the rest of it shows.
    assert missed == [("table of 20% of the text", "prediction.implausible")]
