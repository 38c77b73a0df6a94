"""Hostile hand-ins in a class of honest ones: who is honest gets what they would get alone."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs the packages of `setup class`")

from autograder import cli, corpus, fixtures, referee, sandbox
from tests.attacks.attack import HONEST, hand_in, honest, load, scores

HOSTILE = (
    "a daemon that edits the next hand-in",
    "a poisoned kit",
    "a hand-in that changes while it is graded",
    "forged results",
    "leftovers in temporary folders and IPC",
    "new processes of every kind",
    "fills the disk",
    "floods stdout and stderr",
    "os._exit in a graded step",
    "a flood of frames",
)


@pytest.fixture(scope="module")
def official() -> None:
    try:
        sandbox.choose(official=True)
    except sandbox.SandboxError as error:
        pytest.skip(f"hostile code is run in a sandbox only: {error}")


@pytest.mark.usefixtures("official")
def test_the_honest_ones_of_a_hostile_class_get_what_they_get_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("LMKIT_DATA", str(tmp_path / "data"))
    desk, fair = tmp_path / "desk", tmp_path / "honest"
    (desk / "hand-ins").mkdir(parents=True)
    honest(fair)
    numbers = corpus.load("numbers")
    secret = secrets.token_hex()
    drawn = fixtures.draw(numbers, "test", secret, referee.load("numbers"))
    (desk / "hidden").mkdir(mode=0o700)
    fixtures.save(drawn, desk / "hidden")
    (desk / "kit").mkdir()
    token = f"canary-{secrets.token_hex(16)}"
    (desk / "hidden" / "private.txt").write_text(token)
    told = {"desk": str(desk), "grader": os.getpid(), "tcp": 1, "udp": 1, "terminal": "/dev/tty"}
    rows = {attack.name: attack for attack in load()}
    for number, name in enumerate(HOSTILE):
        hand_in(rows[name], fair, desk / "hand-ins" / f"{number:02d}-hostile", told)
    for number in (0, 4, 9):  # between the hostile ones, and after the last
        folder = hand_in(HONEST, fair, desk / "hand-ins" / f"{number:02d}-later-honest", told)
        with (folder / "trainer.py").open("a") as file:
            file.write(f"# {number}\n")
    before = contents(desk)
    command = ["--corpus", "numbers", "--fixtures", str(desk / "hidden")]
    (tmp_path / "alone").mkdir()
    given = ["grade", str(fair), *command, "--out", str(tmp_path / "alone")]
    assert cli.main(given) == 0
    alone = scores(json.loads((tmp_path / "alone" / "results.json").read_text()))
    assert all(points > 0 for points in alone.values())

    given = ["grade-class", str(desk / "hand-ins"), *command, "--workers", "2"]
    assert cli.main([*given, "--out", str(tmp_path / "out")]) == 0

    results = {
        path.parent.name: json.loads(path.read_text())
        for path in (tmp_path / "out").glob("*/results.json")
    }
    assert len(results) == len(HOSTILE) + 3
    assert all(result["official"] for result in results.values())
    for name, result in results.items():
        if "honest" in name:
            assert scores(result) == alone, name
        else:
            assert all(scores(result)[problem] in (0, alone[problem]) for problem in alone), name
    assert contents(desk) == before
    for path in (tmp_path / "out").rglob("*.*"):
        assert token.encode() not in path.read_bytes()
        assert b"TAKEN" not in path.read_bytes(), path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
