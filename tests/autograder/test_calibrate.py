"""calibrate.py: marks are grading's own, secrets stay secret, sums are right, the rubric holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autograder import calibrate, cli, fixtures, rubric, systems
from autograder.calibrate import Trial, table, trials
from autograder.exam import Exam
from autograder.judge import judge_generation, judge_prediction, shown
from autograder.ngrams import NGram
from autograder.run import Observation

KEPT = Path(rubric.__file__).with_name("rubric.md")


@pytest.fixture(scope="module")
def rules() -> rubric.Rubric:
    return rubric.load("numbers")


@pytest.fixture(scope="module")
def found(numbers, judge, rules) -> list[list[Trial]]:
    measured = list(systems.build(numbers))
    return [
        trials(measured, i, fixtures.draw(numbers, "test", f"s/{i}", judge), numbers, judge, rules)
        for i in range(2)
    ]


def of(found: list[list[Trial]], system: str, problem: str) -> list[Trial]:
    return [t for draw in found for t in draw if (t.system, t.problem) == (system, problem)]


def test_every_system_is_marked_on_both_problems_but_people_and_what_is_not_given(found):
    for draw in found:
        marked = [(trial.system, trial.problem) for trial in draw]
        assert len(marked) == len(set(marked))
        assert {name for name, _ in marked} == set(systems.NAMES) - {systems.FULL}
        assert (systems.HUMAN, "prediction") not in marked


def test_the_solution_passes_and_no_model_that_counts_or_is_untrained_does(found):
    for problem in ("prediction", "generation"):
        assert [trial.points for trial in of(found, systems.QUICK, problem)] == [50, 50]
        for name in (*systems.NGRAMS, systems.UNTRAINED):
            assert max(trial.points for trial in of(found, name, problem)) < 50


def test_baselines_are_in_the_order_of_what_they_know(found):
    uniform, unigram, bigram, quick = (
        np.mean([trial.nll for trial in of(found, name, "prediction")])
        for name in ("uniform", "unigram", "bigram", systems.QUICK)
    )
    assert uniform > unigram > bigram > quick


def test_marks_are_those_that_grading_gives(numbers, judge, rules, found):
    """For the same draw, from the scores and words that a worker would have sent."""
    drawn = fixtures.draw(numbers, "test", "s/1", judge)
    exam = Exam(numbers, drawn, judge, rules)
    vars(exam)["known"] = None  # no public prefixes are mixed among these
    (bigram,) = systems.build(numbers, ("bigram",))
    model = NGram.fit(numbers.train, len(numbers.vocab), 2)
    scores = np.log(model.probabilities(drawn.prediction)).astype(np.float32)
    arrays = {f"scores{i}": scores[i : i + 64] for i in range(0, len(scores), 64)}
    seen = Observation("prediction", "ok", arrays)
    _, points, metrics, _ = judge_prediction(seen, exam)
    (ours,) = of(found[1:], "bigram", "prediction")
    assert (ours.points, shown(ours.metrics, drawn)) == (points, metrics)
    seen = Observation("generation", "ok", {"words": bigram.words(drawn)})
    _, points, metrics, _ = judge_generation(seen, exam)
    (ours,) = of(found[1:], "bigram", "generation")
    assert ours.points == points
    assert shown(ours.metrics, drawn).items() <= metrics.items()


def test_a_full_reference_is_measured_where_its_checkpoint_is_given(numbers, public, judge, rules):
    path = systems.weights("numbers")  # the same weights, so it has to earn the same
    both = list(systems.build(numbers, (systems.QUICK, systems.FULL), path))
    assert [system.name for system in both] == [systems.QUICK, systems.FULL]
    draw = trials(both, 0, public, numbers, judge, rules)
    quick, full = (
        [(t.problem, t.points, t.metrics) for t in draw if t.system == system.name]
        for system in both
    )
    assert quick == full


def test_trials_are_summed_up_as_by_hand():
    rules = rubric.load("wikitext2")
    given = [
        Trial(
            "s",
            seed,
            "prediction",
            points,
            {
                "prediction_nll": nll,
                "prediction_nll_stderr": 0.03,
                "prediction_nll_plain_stderr": 0.1 * (seed + 1),
            },
        )
        for seed, (points, nll) in enumerate([(50.0, 4.8), (49.0, 5.04), (50.0, 4.98)])
    ]
    (row,) = calibrate.summary(given, rules)
    assert (row.system, row.problem, row.draws, row.full) == ("s", "prediction", 3, 2)
    assert row.nll == pytest.approx(4.94)  # deviations -0.14, 0.10, 0.04: squares sum to 0.0312
    assert row.spread == pytest.approx(np.sqrt(0.0312 / 2))
    assert (row.stderr, row.plain_stderr) == (pytest.approx(0.03), pytest.approx(0.2))
    assert row.points == pytest.approx(149 / 3)
    assert "| s | 4.940 | 0.125 | 0.030 | 0.200 | 2 of 3 | 49.7 |" in table([row])


def said(*arguments: str, capsys) -> list[str]:
    few = ("--corpus", "numbers", "--systems", "unigram,bigram")
    assert cli.main(["calibrate", *few, *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_command_tells_each_draw_and_writes_all_figures_but_no_secret(tmp_path, capsys):
    out = tmp_path / "figures.json"
    secret = "xyzzy"
    lines = said("--seeds", "2", "--secret", secret, "--out", str(out), capsys=capsys)
    assert [line[:11] for line in lines if line.startswith("draw")] == [
        "draw 1 of 2",
        "draw 2 of 2",
    ]
    assert secret not in "\n".join(lines) + out.read_text()
    written = json.loads(out.read_text())
    assert (written["corpus"], written["split"]) == ("numbers", "test")
    assert len(written["trials"]) == 2 * 2 * 2
    assert [row["system"] for row in written["rows"]] == ["unigram", "bigram"] * 2
    assert all(
        f"| {row['system']} | {row['nll']:.3f} |" in "\n".join(lines) for row in written["rows"]
    )


def test_flags_are_counted_on_the_same_draws_where_the_solution_is_measured(tmp_path, capsys):
    out = tmp_path / "figures.json"
    few = ("--corpus", "numbers", "--systems", systems.QUICK, "--seeds", "2")
    assert cli.main(["calibrate", *few, "--out", str(out)]) == 0
    assert "| planted cheat |" in capsys.readouterr().out
    flags = json.loads(out.read_text())["flags"]
    assert {flag["draws"] for flag in flags} == {2}
    assert {flag["system"] for flag in flags if not flag["cheat"]} == {systems.QUICK}


def test_a_secret_gives_the_same_draws_and_none_gives_others(tmp_path, capsys):
    def trials_of(*arguments: str) -> list[dict]:
        out = tmp_path / "figures.json"
        said("--seeds", "1", "--out", str(out), *arguments, capsys=capsys)
        return json.loads(out.read_text())["trials"]

    first = trials_of("--secret", "xyzzy")
    assert trials_of("--secret", "xyzzy") == first
    assert trials_of("--secret", "plugh") != first
    assert trials_of() != trials_of() != first


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--systems", "bigram,nonsense"), "no system nonsense; there are uniform, unigram"),
        (("--seeds", "0"), "at least one is needed"),
        (("--full", "nowhere.safetensors"), "there is no nowhere.safetensors"),
    ],
)
def test_what_cannot_be_measured_is_a_usage_error(arguments, told, capsys):
    assert cli.main(["calibrate", "--corpus", "numbers", *arguments]) == 2
    assert told in capsys.readouterr().err


# The table that is kept beside the rubric.


def kept(corpus: str) -> Iterator[tuple[str, str, list[str]]]:
    """Problem, system and figures of each row."""
    text = KEPT.read_text(encoding="utf-8").split(f"## {corpus}\n")[1].split("\n## ")[0]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *rows = (
            [c.strip() for c in line.strip("| ").split("|")] for line in block.splitlines()
        )
        yield from ((head[0], row[0], row[1:]) for row in rows)


@pytest.mark.parametrize("corpus", ["wikitext2", "numbers"])
def test_by_the_table_the_solution_always_passes_and_the_bigram_never(corpus):
    rows = {(problem, system): figures for problem, system, figures in kept(corpus)}
    for problem in ("prediction", "generation"):
        assert rows[problem, systems.QUICK][4:] == ["20 of 20", "50.0"]
        assert rows[problem, "bigram"][4] == "0 of 20"


def test_by_the_table_the_standard_errors_are_as_small_as_promised():
    rows = {
        system: figures for problem, system, figures in kept("wikitext2") if problem == "prediction"
    }
    assert float(rows[systems.QUICK][2]) <= 0.05
    assert float(rows[systems.QUICK][3]) <= 0.1
