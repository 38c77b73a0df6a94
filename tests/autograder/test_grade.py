"""grade.py: points and words for what was predicted and generated, by hand-made observations."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import READY, WEIGHTS, Scripted

from autograder import grade as grading
from autograder import rubric, sandbox, score
from autograder.exam import Exam
from autograder.faults import Fault
from autograder.flags import known
from autograder.judge import CHUNK, judge_generation, judge_prediction, judge_weights
from autograder.run import Observation
from autograder.submission import take


@pytest.fixture
def rules() -> rubric.Rubric:
    return rubric.load("numbers")


def predicted(scores: np.ndarray) -> Observation:
    parts = range(0, len(scores), CHUNK)
    arrays = {f"scores{i}": scores[i : i + CHUNK] for i in parts}
    return Observation("prediction", "ok", arrays)


def generated(words: np.ndarray) -> Observation:
    return Observation("generation", "ok", {"words": words})


def sure(targets: np.ndarray, nll: float, vocabulary: int) -> np.ndarray:
    """Scores under which each target has just this NLL, and all other words share the rest."""
    p = math.exp(-nll)
    scores = np.full((len(targets), vocabulary), math.log((1 - p) / (vocabulary - 1)))
    scores[np.arange(len(targets)), targets] = math.log(p)
    return scores


@pytest.mark.parametrize(
    ("nll", "points"),
    [(0.01, 50), (0.6, 50), (0.7, 45), (0.8, 40), (1.15, 30), (2.05, 10), (2.6, 0)],
)
def test_points_of_a_prediction_are_those_of_its_nll(numbers, public, judge, rules, nll, points):
    seen = predicted(sure(public.next_word, nll, len(numbers.vocab)))
    verdict, earned, metrics, _ = judge_prediction(seen, Exam(numbers, public, judge, rules))
    assert metrics["prediction_nll"] == pytest.approx(nll, abs=1e-9)
    assert metrics["prediction_nll_stderr"] == pytest.approx(0, abs=1e-9)
    assert metrics["prediction_ppl"] == pytest.approx(math.exp(nll), abs=1e-4)
    assert earned == points
    assert verdict.passed is (points == 50)
    assert f"NLL {nll:.3f}" in verdict.message
    assert bool(verdict.hint) is (points < 50)


def test_the_metrics_of_a_prediction_agree_with_a_loop(numbers, public, judge, rules, rng):
    scores = rng.normal(size=(len(public.next_word), len(numbers.vocab))).astype(np.float32)
    _, _, metrics, _ = judge_prediction(predicted(scores), Exam(numbers, public, judge, rules))
    nll = []
    for row, target in zip(scores.tolist(), public.next_word.tolist(), strict=True):
        nll.append(math.log(math.fsum(map(math.exp, row))) - row[target])
    mean = math.fsum(nll) / len(nll)
    variance = math.fsum((x - mean) ** 2 for x in nll) / (len(nll) - 1)
    # Rounded to the 4 decimals that are shown.
    assert metrics["prediction_nll_plain"] == round(mean, 4)
    assert metrics["prediction_nll_plain_stderr"] == round(math.sqrt(variance / len(nll)), 4)


def test_the_graded_prediction_is_the_one_less_the_luck_of_the_draw(numbers, public, judge, rules):
    """A model as good as the referee on each word is as good as the referee on the split."""
    hard = replace(public, control=public.control + np.linspace(0, 1, len(public.control)))
    hard = replace(hard, control_mean=float(hard.control.mean()) - 0.02)
    scores = np.full((len(hard.control), 30), -40.0)
    p = np.exp(-hard.control)
    scores[:] = np.log((1 - p) / 29)[:, None]
    scores[np.arange(len(p)), hard.next_word] = -hard.control
    _, _, metrics, _ = judge_prediction(predicted(scores), Exam(numbers, hard, judge, rules))
    assert metrics["prediction_nll_plain"] == round(hard.referee_nll, 4)
    assert metrics["prediction_nll"] == pytest.approx(hard.control_mean, abs=1e-4)
    assert metrics["prediction_nll_stderr"] == pytest.approx(0, abs=1e-4)
    assert metrics["prediction_nll_plain_stderr"] > 0.005


def test_public_prefixes_among_hidden_ones_move_no_mark_and_tell_a_gap(
    numbers, public, judge, rules
):
    """Hidden words learnt by heart, public ones guessed at: NLLs 0.01 and ln 30."""
    hidden = replace(public, public=False)
    block = known.draw(numbers, hidden, judge)
    words = block.mixed(hidden.next_word, block.next_word)
    learnt = block.mixed(np.ones(len(hidden.next_word)), np.zeros(known.COUNT))
    scores = learnt[:, None] * sure(words, 0.01, 30)
    exam = Exam(numbers, hidden, judge, rules)
    _, points, metrics, flags = judge_prediction(predicted(scores), exam)
    assert (metrics["prediction_nll"], points) == (0.01, 50)
    assert [flag.id for flag in flags] == ["prediction.gap"]
    assert "3.40 on public ones" in flags[0].message


@pytest.mark.parametrize(("public_ones", "decimals"), [(True, 4), (False, 2)])
def test_what_hidden_fixtures_show_is_rounded_and_what_is_shown_is_graded(
    numbers, public, judge, rules, rng, public_ones, decimals
):
    fixtures = replace(public, public=public_ones)
    scores = sure(public.next_word, 0.7, 30) + 0.3 * rng.normal(size=(len(public.next_word), 30))
    words = public.human.copy()
    words[:40] = rng.integers(0, 30, size=(40, 10))
    for problem, judging, seen in (
        ("prediction", judge_prediction, predicted(scores)),
        ("generation", judge_generation, generated(words)),
    ):
        exam = Exam(numbers, fixtures, judge, rules)
        vars(exam)["known"] = None  # no public prefixes are mixed among these
        verdict, earned, metrics, _ = judging(seen, exam)
        assert all(round(value, decimals) == value for value in metrics.values())
        assert any(round(value, decimals - 1) != value for value in metrics.values())
        nll = metrics[f"{problem}_nll"]
        assert f"NLL {nll:.{min(3, decimals)}f}, which" in verdict.message
        assert earned == score.points(nll, getattr(rules, problem).steps)
        if problem == "prediction":
            assert metrics["prediction_ppl"] == round(math.exp(nll), decimals)


@pytest.mark.parametrize(
    ("nll", "noise", "told"),
    [(0.59, 0.5, True), (0.62, 0.5, True), (0.55, 0.5, False), (0.7, 0.5, False)],
)
def test_a_mark_within_two_standard_errors_of_a_step_says_what_luck_could_do(
    numbers, public, judge, rules, nll, noise, told
):
    """NLLs of `nll` plus or minus `noise`: their standard error is noise / sqrt(1408), 0.013."""
    near = replace(public, control=np.zeros(len(public.control)), control_mean=0.0)
    scores = np.concatenate(
        [
            sure(part[None], nll + sign * noise, 30)
            for part, sign in zip(
                public.next_word, np.resize([1, -1], len(public.next_word)), strict=True
            )
        ]
    )
    verdict, earned, metrics, _ = judge_prediction(
        predicted(scores), Exam(numbers, near, judge, rules)
    )
    assert metrics["prediction_nll_stderr"] == pytest.approx(0.0133, abs=1e-4)
    assert ("within two standard errors (0.03)" in verdict.message) is told
    if told:
        low = 50 - 50 * (nll + 2 * 0.0133 - 0.6)  # 10 points over 0.2 of NLL
        assert f"another draw of fixtures could give {low:.1f}" in verdict.message
        assert verdict.message.endswith(" to 50")
        assert low < earned <= 50


@pytest.mark.parametrize(
    ("scores", "hint"),
    [
        (lambda t: np.zeros((len(t), 30), dtype="<f4"), "hardly better than guessing (3.40)"),
        (lambda t: sure(t, 9.0, 30), "worse than guessing (3.40)"),
        (lambda t: sure(t, 1.5, 30), "train longer"),
        (lambda t: sure(np.roll(t, 1), 0.1, 30), "worse than guessing"),
        (lambda t: sure(t, 0.1, 30)[::-1], "worse than guessing"),
    ],
)
def test_what_a_bad_prediction_may_come_from_is_said(numbers, public, judge, rules, scores, hint):
    seen = predicted(scores(public.next_word))
    verdict, _, _, _ = judge_prediction(seen, Exam(numbers, public, judge, rules))
    assert verdict.passed is False
    assert hint in verdict.hint


def test_a_prediction_that_is_wildly_wrong_still_makes_a_result(numbers, public, judge, rules):
    scores = np.zeros((len(public.next_word), 30), dtype="<f4")
    scores[np.arange(len(scores)), public.next_word] = -3e38
    verdict, points, metrics, _ = judge_prediction(
        predicted(scores), Exam(numbers, public, judge, rules)
    )
    assert points == 0
    assert all(map(math.isfinite, metrics.values()))
    assert "worse than guessing" in verdict.hint


def test_one_chunk_that_is_missing_or_bad_costs_the_prediction(numbers, public, judge, rules):
    good = sure(public.next_word, 0.1, 30).astype("<f4")
    seen = predicted(good)
    del seen.arrays[f"scores{CHUNK * 3}"]
    verdict, points, metrics, _ = judge_prediction(seen, Exam(numbers, public, judge, rules))
    assert (verdict.passed, points, metrics) == (False, 0.0, {})
    assert "returned nothing" in verdict.message
    bad = good.copy()
    bad[-1, -1] = np.nan
    verdict, points, _, _ = judge_prediction(predicted(bad), Exam(numbers, public, judge, rules))
    assert (verdict.passed, points) == (False, 0.0)
    assert "1 of 64 rows of scores hold NaN" in verdict.message


def test_the_texts_own_words_earn_full_points_for_generation(numbers, public, judge, rules):
    seen = generated(public.human)
    verdict, points, metrics, _ = judge_generation(seen, Exam(numbers, public, judge, rules))
    assert (verdict.passed, points) == (True, 50)
    assert metrics["generation_nll"] == metrics["human_generation_nll"]
    rows = judge.word_nll(public.generation, public.human).mean(axis=1)
    assert metrics["generation_nll"] == round(rows.mean(), 4)
    assert metrics["generation_nll_stderr"] == round(rows.std(ddof=1) / math.sqrt(len(rows)), 4)
    assert metrics["generation_degenerate"] == 0


def test_words_drawn_at_random_earn_none(numbers, public, judge, rules, rng):
    seen = generated(rng.integers(0, 30, size=(128, 10)))
    verdict, points, metrics, _ = judge_generation(seen, Exam(numbers, public, judge, rules))
    assert (verdict.passed, points) == (False, 0)
    assert metrics["generation_nll"] > 3
    assert metrics["generation_distinct_2"] > metrics["generation_degenerate"] == 0
    assert "greedy decoding" in verdict.hint


def test_loops_past_the_bound_earn_none_however_likely_they_are(numbers, public, judge, rules):
    words = public.human.copy()
    words[:64] = np.resize(words[:64, :4].T, (10, 64)).T  # half of the rows: the bound itself
    easy = replace(rules, generation=replace(rules.generation, steps=((50.0, 50.0), (60.0, 0.0))))
    _, points, metrics, _ = judge_generation(generated(words), Exam(numbers, public, judge, easy))
    assert (points, metrics["generation_degenerate"]) == (50, 0.5)
    words[64] = np.resize(words[64, :4], 10)
    verdict, points, _, _ = judge_generation(generated(words), Exam(numbers, public, judge, easy))
    assert (verdict.passed, points) == (False, 0)
    assert "51% of the continuations are no text (they go in a circle" in verdict.message
    assert "fed back together with the hidden state" in verdict.hint


@pytest.mark.parametrize("status", ["timeout", "crash", "garbage", "error"])
def test_a_step_that_failed_is_put_in_words(numbers, public, judge, rules, status):
    for judging, good in (
        (judge_prediction, predicted(sure(public.next_word, 0.1, 30))),
        (judge_generation, generated(public.human)),
    ):
        seen = replace(good, status=status, error={"message": "such and such", "type": "E"})
        verdict, points, metrics, _ = judging(seen, Exam(numbers, public, judge, rules))
        assert (verdict.passed, points, metrics) == (False, 0.0, {})
        assert "such and such" in verdict.message
        assert verdict.hint


def test_weights_for_the_other_corpus_only_are_named(numbers, base, tmp_path):
    taken = take(base, tmp_path)
    (taken.root / WEIGHTS).rename(taken.root / "checkpoint.safetensors")
    seen = Observation("weights", "error", error={"type": "FileNotFoundError", "message": "no"})
    verdict = judge_weights(taken, "numbers", seen)
    assert verdict.passed is False
    assert "no checkpoint.numbers.safetensors" in verdict.message
    assert "there is checkpoint.safetensors" in verdict.message
    assert "make train CORPUS=numbers" in verdict.hint


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, {"a": {}}, {"embedding.weight": None}])
def test_no_reported_shapes_make_the_judging_of_weights_raise(numbers, base, tmp_path, odd):
    taken = take(base, tmp_path)
    error = {"type": "RuntimeError", "message": "it does not fit", "where": ""}
    for other in (odd, {"embedding.weight": [1, 2]}):
        values = {"tensors": odd, "parameters": other}
        verdict = judge_weights(
            taken, "numbers", Observation("weights", "error", {}, values, error)
        )
        assert verdict.passed is False


def test_a_submission_that_does_nothing_gets_a_whole_result(base, numbers, public, judge, tmp_path):
    box = Scripted(written=READY)
    result = grading.grade(base, Exam.of(numbers, public, judge), log=tmp_path / "log", box=box)
    assert (result.score, result.max_score) == (0, 100)
    assert result.official is False
    assert result.samples == ()
    assert not any(check.passed for check in result.checks)
    assert json.loads(result.to_json())["fixtures"] == public.digest


def test_a_hand_in_that_cannot_be_read_gets_a_result_that_says_so(numbers, public, judge, tmp_path):
    (tmp_path / "team.zip").write_bytes(b"PK\3\4 not a zip")
    result = grading.grade(
        tmp_path / "team.zip", Exam.of(numbers, public, judge), log=tmp_path / "log"
    )
    assert (result.score, result.max_score) == (0, 100)
    assert [(c.id, c.passed) for c in result.checks] == [
        ("submission.read", False),
        ("prediction", None),
        ("generation", None),
    ]
    assert "make handin" in result.checks[0].hint


def test_a_hand_in_that_cannot_be_read_is_graded_out_of_as_much_as_others(
    numbers, public, judge, tmp_path
):
    (tmp_path / "team.zip").write_bytes(b"PK\3\4 not a zip")
    path, log = tmp_path / "rubric.toml", tmp_path / "log"
    path.write_text(rubric.DEFAULT.read_text() + '"data_loader.import" = 7\n')
    source = tmp_path / "team.zip"
    result = grading.grade(source, Exam.of(numbers, public, judge, rubric_path=path), log=log)
    assert (result.score, result.max_score) == (0, 107)


def test_points_for_checks_come_from_the_rubric(base, numbers, public, judge, tmp_path):
    path = tmp_path / "rubric.toml"
    path.write_text(rubric.DEFAULT.read_text() + '"data_loader.import" = 7\n')
    log, box = tmp_path / "log", Scripted(written=READY)
    result = grading.grade(
        base, Exam.of(numbers, public, judge, rubric_path=path), log=log, box=box
    )
    (check,) = (c for c in result.checks if c.id == "data_loader.import")
    assert (check.passed, check.score, check.max_score) == (False, 0, 7)
    assert result.max_score == 107


def test_fixtures_of_another_corpus_give_no_grade(base, numbers, public, judge, tmp_path):
    other = replace(public, corpus="another")
    with pytest.raises(Fault, match="another corpus than numbers"):
        Exam.of(numbers, other, judge)


def test_examples_are_shown_for_public_fixtures_only_and_for_words_that_can_be_graded(
    base, numbers, public, judge, tmp_path, monkeypatch
):
    words = public.human

    def run(submission, steps, *_):
        seen = {step.id: Observation(step.id) for step in steps}
        seen["weights"].status = "ok"
        seen["generation"] = generated(words)
        return seen

    monkeypatch.setattr(grading, "run", run)

    def samples(fixtures):
        return grading.grade(base, Exam.of(numbers, fixtures, judge), log=tmp_path / "log").samples

    assert len(samples(public)) >= 6
    assert samples(public)[0]["generated"] == samples(public)[0]["human"]
    assert samples(replace(public, public=False)) == ()
    for words in (np.full((128, 10), np.nan, "<f4"), np.full((128, 10), 30), public.human[:5]):  # noqa: B007
        assert samples(public) == ()


def test_the_digest_of_the_source_is_in_the_result_and_is_stable(judge):
    assert grading.environment(judge, sandbox.practice(), {})["grader"] == grading.source_digest()
    assert len(grading.source_digest()) == 64
