"""result.py: results.json has the fields of the contract, and is written whole or not at all."""

from __future__ import annotations

import json
import math

import pytest

from autograder.result import Check, Flag, Result

CHECKS = (
    Check("data_loader.order", "rows read on", True, "they do", seconds=0.5),
    Check("inference.rows", "rows apart", None, "not run"),
    Check("prediction", "next word", False, "5.1", "train", 47.456, 50, 2.0),
    Check("generation", "text", True, "3.0", "", 50, 50, 1.0),
)


def result(**more) -> Result:
    fields = {
        "submission": "team",
        "submission_digest": "ab",
        "corpus": "numbers",
        "fixtures": "cd",
        "rubric": "ef",
        "official": False,
        "checks": CHECKS,
    }
    return Result(**{**fields, **more})


def test_the_json_has_every_field_of_the_contract():
    data = json.loads(result(metrics={"prediction_nll": 5.1}, flags=(Flag("a", "b"),)).to_json())
    assert data["schema"] == "lm-kit/result/v1"
    assert {
        "submission",
        "corpus",
        "fixtures",
        "rubric",
        "official",
        "score",
        "max_score",
        "metrics",
        "checks",
        "flags",
        "timing",
        "environment",
    } <= set(data)
    assert data["official"] is False
    for check in data["checks"]:
        assert set(check) == {
            "id",
            "title",
            "passed",
            "score",
            "max_score",
            "message",
            "hint",
            "seconds",
        }
    assert [check["passed"] for check in data["checks"]] == [True, None, False, True]
    assert data["flags"] == [{"id": "a", "message": "b"}]


def test_what_is_written_is_read_again():
    whole = result(
        metrics={"prediction_nll": 5.1},
        flags=(Flag("a", "b"),),
        scales={"prediction": [[5.0, 50.0], [9.0, 0.0]]},
        samples=({"prompt": "a", "generated": "b", "human": "c"},),
        receipt={"code": "ab"},
        timing={"total": 1.5},
        environment={"tier": "T1"},
        notice="practice",
    )
    assert Result.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(schema="lm-kit/result/v2"),
        lambda data: data.update(score=100),
        lambda data: data.update(more=1),
        lambda data: data.pop("checks"),
        lambda data: data["checks"][0].update(more=1),
        lambda data: data.update(flags=[1]),
    ],
)
def test_what_is_no_result_is_refused(change):
    data = json.loads(result().to_json())
    change(data)
    with pytest.raises(ValueError, match=r"result/v1|sum of its checks"):
        Result.from_json(json.dumps(data))


def test_the_score_is_the_sum_of_the_checks_to_two_decimals():
    assert result().score == 97.46
    assert result().max_score == 100
    assert (result(checks=()).score, result(checks=()).max_score) == (0, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="prediction_nll"):
        result(metrics={"uniform_nll": 3.4, "prediction_nll": bad}).to_json()


def test_no_other_number_may_be_infinite():
    with pytest.raises(ValueError, match="not JSON compliant"):
        result(timing={"total": math.nan}).to_json()


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    odd = result(submission="\ud800\x00</script>")
    odd.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["submission"] == odd.submission


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.json"
    result().write(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not finite"):
        result(metrics={"x": math.nan}).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
