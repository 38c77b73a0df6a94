"""fixtures.py: draws are reproducible, spread, balanced, and guarded by a digest."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from autograder import fixtures
from autograder.faults import Fault
from autograder.fixtures import FORWARD, GENERATIONS, LENGTH, PREDICTIONS, FixtureError

ARRAYS = ("prediction", "generation", "next_word", "after_next", "human")


@pytest.fixture(scope="module")
def hidden(numbers, judge) -> fixtures.Fixtures:
    return fixtures.draw(numbers, "test", "a secret", judge)


def test_shapes_and_types_are_those_of_the_design(public):
    assert public.prediction.shape == (PREDICTIONS, LENGTH) == (1408, 20)
    assert public.next_word.shape == public.after_next.shape == (1408,)
    assert (public.control.shape, public.control.dtype) == ((1408,), np.float64)
    assert public.generation.shape == (GENERATIONS, LENGTH) == (128, 20)
    assert public.human.shape == (128, FORWARD) == (128, 10)
    assert {getattr(public, name).dtype for name in ARRAYS} == {np.dtype(np.int64)}


def test_public_ones_are_of_the_validation_split_and_hidden_ones_are_not_public(public, hidden):
    assert (public.split, public.public) == ("valid", True)
    assert (hidden.split, hidden.public) == ("test", False)


def test_the_same_secret_draws_the_same(numbers, judge, hidden):
    again = fixtures.draw(numbers, "test", "a secret", judge)
    assert again.digest == hidden.digest
    assert all((getattr(again, name) == getattr(hidden, name)).all() for name in ARRAYS)
    assert (again.control == hidden.control).all()


def test_another_secret_draws_others(numbers, judge, hidden):
    other = fixtures.draw(numbers, "test", "another secret", judge)
    assert other.digest != hidden.digest
    assert (other.prediction != hidden.prediction).any(axis=1).mean() > 0.5
    assert (other.generation != hidden.generation).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("split", ["valid", "test"])
def test_windows_stand_in_the_split_word_for_word_and_across_no_two_articles(
    numbers, public, hidden, split
):
    drawn = public if split == "valid" else hidden
    text = numbers.split(split)
    for windows, last in (
        (drawn.prediction, np.column_stack([drawn.next_word, drawn.after_next])),
        (drawn.generation, drawn.human),
    ):
        windows = np.concatenate([windows, last], axis=1)
        width = windows.shape[1]
        there = {
            tuple(article[i : i + width])
            for article in map(np.ndarray.tolist, text.articles())
            for i in range(len(article) - width + 1)
        }
        assert all(tuple(row) in there for row in windows.tolist())


def test_windows_are_spread_over_all_articles(numbers, judge):
    """Each article gets its share of the rows, by its length: stretches are equally long."""
    text = numbers.split("test")
    rng = np.random.default_rng(0)
    marked = replace(text, ids=np.arange(len(text), dtype=np.int32))
    starts = fixtures.spread(marked, PREDICTIONS, 22, rng)[:, 0]
    assert (np.diff(starts) > 0).all()
    room = np.diff(text.offsets) - 21
    share = np.histogram(starts, bins=text.offsets)[0] / PREDICTIONS
    # A stretch that reaches over an edge may fall on either side: one row an edge, at most two.
    np.testing.assert_allclose(share, room / room.sum(), atol=2 / PREDICTIONS + 1e-9)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_draws_are_as_hard_as_the_split_for_the_referee(judge, public, hidden, split):
    drawn = public if split == "valid" else hidden
    nll = judge.word_nll(drawn.prediction, drawn.next_word[:, None])[:, 0]
    # In float32, in batches of other rows.
    np.testing.assert_allclose(drawn.control, nll, atol=1e-4)
    assert drawn.control_mean == judge.measured[split]
    assert abs(drawn.referee_nll - drawn.control_mean) <= 0.02


def test_which_candidate_a_row_takes_is_an_even_toss(numbers):
    """A referee for which all is equally hard: the first toss stands, half of the rows each way."""

    class Indifferent:
        def __init__(self) -> None:
            self.measured, self.seen = {"test": 1.0}, []

        def word_nll(self, prefix: np.ndarray, words: np.ndarray) -> np.ndarray:
            self.seen.append(prefix)
            return np.ones(words.shape)

    referee = Indifferent()
    drawn = fixtures.draw(numbers, "test", "a secret", referee)
    first, second = referee.seen
    differ = (first != second).any(axis=1)
    taken = (drawn.prediction == first).all(axis=1)
    assert (taken | (drawn.prediction == second).all(axis=1)).all()
    # Five standard errors of a toss.
    assert taken[differ].mean() == pytest.approx(0.5, abs=2.5 / np.sqrt(differ.sum()))


def test_a_draw_that_cannot_be_balanced_is_the_graders_own_fault(numbers, judge, monkeypatch):
    monkeypatch.setattr(judge, "measured", {"test": 9.0})
    monkeypatch.setattr(fixtures, "MAX_TOSSES", 2)
    with pytest.raises(FixtureError, match=r"none of 2 draws has the referee's NLL 9\.000"):
        fixtures.draw(numbers, "test", "a secret", judge)


def test_a_split_that_is_too_small_is_named(numbers, judge):
    small = replace(numbers.test, ids=numbers.test.ids[:60], offsets=np.array([0, 30, 60]))
    with pytest.raises(FixtureError, match="18 windows of 22 words where 1408"):
        fixtures.draw(replace(numbers, test=small), "test", "a secret", judge)


def test_what_is_saved_is_what_is_loaded(hidden, tmp_path):
    fixtures.save(hidden, tmp_path)
    loaded = fixtures.load(tmp_path)
    assert loaded.digest == hidden.digest
    assert (loaded.split, loaded.public) == (hidden.split, hidden.public)
    assert (loaded.control == hidden.control).all()
    assert loaded.control_mean == hidden.control_mean


def test_the_file_of_inputs_holds_no_targets(hidden, tmp_path):
    fixtures.save(hidden, tmp_path)
    with np.load(tmp_path / "inputs.npz") as inputs, np.load(tmp_path / "targets.npz") as targets:
        assert set(inputs) == {"prediction", "generation"}
        assert set(targets) == {"next_word", "after_next", "human", "control"}
        assert inputs["prediction"].shape[1] == inputs["generation"].shape[1] == LENGTH


@pytest.mark.parametrize("name", ARRAYS)
def test_a_change_of_one_word_is_found_by_the_digest(hidden, tmp_path, name):
    fixtures.save(hidden, tmp_path)
    changed = getattr(hidden, name).copy()
    changed.flat[7] = (changed.flat[7] + 1) % 30
    tampered = replace(hidden, **{name: changed})
    assert tampered.digest != hidden.digest
    about = (tmp_path / "fixtures.json").read_bytes()
    fixtures.save(tampered, tmp_path)
    (tmp_path / "fixtures.json").write_bytes(about)
    with pytest.raises(FixtureError, match="does not hold what its digest says"):
        fixtures.load(tmp_path)


def no_inputs(folder):
    (folder / "inputs.npz").unlink()


def cut_targets(folder):
    path = folder / "targets.npz"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder):
    np.savez(folder / "inputs.npz", prediction=np.array([{}], dtype=object), generation=0)


def no_json(folder):
    (folder / "fixtures.json").write_text("{")


def no_digest(folder):
    about = json.loads((folder / "fixtures.json").read_text())
    del about["digest"]
    (folder / "fixtures.json").write_text(json.dumps(about))


def another_format(folder):
    about = json.loads((folder / "fixtures.json").read_text())
    (folder / "fixtures.json").write_text(json.dumps({**about, "format": 0}))


@pytest.mark.parametrize(
    "damage", [no_inputs, cut_targets, pickled, no_json, no_digest, another_format]
)
def test_damage_is_the_graders_own_fault_and_names_the_folder(hidden, tmp_path, damage):
    fixtures.save(hidden, tmp_path)
    damage(tmp_path)
    with pytest.raises(Fault, match=str(tmp_path)):
        fixtures.load(tmp_path)


def test_fixtures_of_another_version_say_so_and_what_to_do(hidden, tmp_path):
    fixtures.save(hidden, tmp_path)
    another_format(tmp_path)
    with pytest.raises(FixtureError, match=r"of format 0.*format 2: draw them again with `make fi"):
        fixtures.load(tmp_path)


def test_damaged_public_fixtures_are_drawn_again(numbers, judge, public, tmp_path):
    assert fixtures.public(numbers, judge, tmp_path).digest == public.digest
    (folder,) = (tmp_path / "fixtures").iterdir()
    cut_targets(folder)
    assert fixtures.public(numbers, judge, tmp_path).digest == public.digest
    assert fixtures.load(folder).digest == public.digest
