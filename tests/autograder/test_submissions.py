"""Each submission of tests/submissions/cases.toml is graded as it says there, by `grade` itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import SUBMISSIONS, WEIGHTS
from safetensors.torch import load_file, save_file

from autograder import checks, cli, sandbox
from autograder import grade as grading
from autograder.rubric import tomllib
from tests.mutants import warm

CASES = tomllib.loads((SUBMISSIONS / "cases.toml").read_text(encoding="utf-8"))["case"]
KEYS = {"name", "without", "weights", "seconds", "fails", "skips", "regularization"}
MODULES = ("data_loader", "language_model", "trainer", "inference", "regularization")


def make(case: dict, base: Path, folder: Path) -> Path:
    """Write the case's submission."""
    shutil.copytree(base, folder)
    for module in MODULES:
        if module in case:
            with (folder / f"{module}.py").open("a") as file:
                file.write("\n\n" + case[module])
    for name in case.get("without", []):
        (folder / name).unlink()
    state = load_file(folder / WEIGHTS)
    kind = case.get("weights")
    if kind is not None:
        (folder / WEIGHTS).unlink()
    if kind == "other shape":
        save_file({k: v[:20].contiguous() for k, v in state.items()}, folder / WEIGHTS)
    elif kind == "garbage":
        (folder / WEIGHTS).write_bytes(b"\x80\x05garbage" * 99)
    elif kind == "state dict":
        torch.save(state, folder / "checkpoint.numbers.pt")
    elif kind == "course":
        torch.save({"state_dict": state, "epoch": 3}, folder / "checkpoint.numbers.pt")
    elif kind == "own name":
        torch.save(state, folder / "mine.pt")
    else:
        assert kind in (None, "none")
    return folder


def graded(source: Path, out: Path) -> tuple[dict, dict[str, dict]]:
    """Grade with the command; return results.json and its checks by id."""
    assert cli.main(["grade", str(source), "--corpus", "numbers", "--out", str(out)]) == 0
    result = json.loads((out / "results.json").read_text())
    return result, {check["id"]: check for check in result["checks"]}


@pytest.fixture(scope="module", autouse=True)
def forked():
    """Workers are forks here, which take no time to import torch; elsewhere they are new processes.

    Each time the best tier of this machine is asked for again, as the command does.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "choose", partial(sandbox.choose, forks=warm.box().forks))
        yield


@pytest.fixture(scope="module")
def baseline(base, data, public, tmp_path_factory) -> tuple[dict, dict[str, dict]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMKIT_DATA", str(data))
        return graded(base, tmp_path_factory.mktemp("baseline"))


def test_the_base_passes_every_check_and_earns_a_part_of_the_points(baseline):
    result, seen = baseline
    problems = ("prediction", "generation")
    assert all(check["passed"] is not False for i, check in seen.items() if i not in problems)
    assert {i for i, check in seen.items() if check["passed"] is None} == {
        "trainer.test",
        *(i for i in seen if i.startswith("regularization.")),
    }
    assert 0 < seen["prediction"]["score"] <= 50
    assert 0 < seen["generation"]["score"] < 50
    assert result["score"] == sum(seen[problem]["score"] for problem in problems)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_submission_is_graded_as_its_case_says(
    case, base, baseline, data, tmp_path, monkeypatch, capfd
):
    assert set(case) <= KEYS | set(MODULES)
    monkeypatch.setenv("LMKIT_DATA", str(data))
    shorten(case.get("seconds", {}), monkeypatch)
    result, seen = graded(make(case, base, tmp_path / "hand-in"), tmp_path / "out")
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000

    fails = {id: row[1:] for row in case.get("fails", []) for id in row[0].split()}
    skips = case.get("skips", "").split()
    expected = {id: check["passed"] for id, check in baseline[1].items()}
    expected |= dict.fromkeys(fails, False) | dict.fromkeys(skips)
    assert {id: check["passed"] for id, check in seen.items()} == expected
    for id, (message, hint) in fails.items():
        assert message in seen[id]["message"], id
        assert hint in seen[id]["hint"], id
    for problem in ("prediction", "generation"):
        earns = 0 if problem in (*fails, *skips) else baseline[1][problem]["score"]
        # Another order of axes may round an NLL differently in its fourth decimal.
        assert seen[problem]["score"] == pytest.approx(earns, abs=0.05)
    assert result["score"] == pytest.approx(
        sum(seen[p]["score"] for p in ("prediction", "generation"))
    )


def shorten(seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = [(room, "STEPS") for room in (*checks.ROOMS, checks.regularization)]
    for place, name in [*rooms, (grading, "GRADED")]:
        steps = [replace(s, seconds=seconds.get(s.id, s.seconds)) for s in getattr(place, name)]
        monkeypatch.setattr(place, name, steps)
