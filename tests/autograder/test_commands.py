"""The commands as a student or instructor gives them: grades, exit status, and where files go."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import WEIGHTS

from autograder import cli, fixtures
from autograder.commands import training

ROOT = Path(__file__).resolve().parent.parent.parent
CLASSES = ("data_loader", "language_model", "trainer", "inference")


def start(*arguments: str | Path, cwd: Path, data: Path, kit: Path = ROOT) -> subprocess.Popen:
    """Start `python -m autograder …` in a folder of its own."""
    environment = {**os.environ, "LMKIT_VENV": "none", "LMKIT_DATA": str(data)}
    environment |= {"PYTHONPATH": str(kit), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "autograder", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in out + err
    return process.returncode, out, err


def read(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def untimed(result: dict) -> dict:
    """A result less what may differ: its timing and each check's seconds."""
    checks = [{k: v for k, v in check.items() if k != "seconds"} for check in result["checks"]]
    return {**{k: v for k, v in result.items() if k != "timing"}, "checks": checks}


@pytest.fixture(scope="module")
def solutions(tmp_path_factory) -> list[tuple[tuple[int, str, str], dict]]:
    """The solution graded twice at the same time, with one new data folder for both."""
    cwd = tmp_path_factory.mktemp("two at once")
    command = ("grade", "solution", "--corpus", "numbers")
    both = [start(*command, "--out", cwd / name, cwd=cwd, data=cwd / "data") for name in ("a", "b")]
    ends = [finish(process) for process in both]
    return [(end, read(cwd / name)) for end, name in zip(ends, ("a", "b"), strict=True)]


def test_the_solution_earns_everything(solutions):
    (status, out, err), result = solutions[0]
    assert (status, err) == (0, "")
    assert (result["score"], result["max_score"]) == (100, 100)
    assert {check["passed"] for check in result["checks"]} == {True}
    assert "Score 100 of 100" in out
    assert "not official" in out
    assert result["official"] is False


def test_the_same_submission_graded_again_gives_the_same_result(solutions):
    (_, first), (_, second) = solutions
    assert first["timing"] != {}
    assert untimed(first) == untimed(second)


def test_two_gradings_at_the_same_time_do_not_disturb_each_other(solutions):
    assert [end[0] for end, _ in solutions] == [0, 0]
    assert {result["score"] for _, result in solutions} == {100}


@pytest.fixture(scope="module")
def handouts(tmp_path_factory, data, public) -> tuple[Path, list[tuple[int, str, str]]]:
    """The untouched handout graded twice at the same time, into the same default folder."""
    cwd = tmp_path_factory.mktemp("handout")
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "handout").rglob("*")}
    both = [start("grade", "--corpus", "numbers", cwd=cwd, data=data) for _ in range(2)]
    ends = [finish(process) for process in both]
    after = {path: path.stat().st_mtime_ns for path in (ROOT / "handout").rglob("*")}
    assert {p: t for p, t in after.items() if p in before} == before
    return cwd / "runs" / "grade" / "handout", ends


def test_the_untouched_handout_earns_nothing_and_says_for_each_class_what_to_write(handouts):
    folder, ends = handouts
    result = read(folder)
    assert [end[0] for end in ends] == [0, 0]
    assert (result["score"], result["max_score"]) == (0, 100)
    for part, name in enumerate(CLASSES, start=1):
        of_class = [c for c in result["checks"] if c["id"].startswith(f"{name}.")]
        first = next(check for check in of_class if check["passed"] is False)
        assert "is not written yet" in first["message"]
        assert f"ASSIGNMENT.md, part {part}" in first["hint"]
        assert not any(check["passed"] for check in of_class if not check["id"].endswith("import"))
    assert all(
        check["passed"] is None for check in result["checks"] if "(optional)" in check["title"]
    )


def test_two_gradings_into_the_same_folder_leave_whole_files_and_no_others(handouts):
    folder, _ = handouts
    assert {path.name for path in folder.iterdir()} == {"results.json", "report.html", "output.txt"}
    assert "</html>" in (folder / "report.html").read_text()


def test_the_table_shows_the_score_and_what_to_do_first(handouts):
    _, ends = handouts
    for _, out, err in ends:
        assert "Score 0 of 100" in out
        assert "LanguageModelDataLoader.__init__ is not written yet" in out
        assert err == ""


@pytest.fixture
def grade(data, public, tmp_path, monkeypatch):
    """Grade in this process; returns results.json."""
    monkeypatch.setenv("LMKIT_DATA", str(data))
    monkeypatch.chdir(tmp_path)

    def grade(*arguments: str | Path) -> dict:
        out = tmp_path / "the results"
        command = ["grade", "--corpus", "numbers", "--out", str(out), *map(str, arguments)]
        assert cli.main(command) == 0
        return read(out)

    return grade


def contents(folder: Path) -> dict[Path, tuple]:
    return {p: (p.lstat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in folder.rglob("*")}


def test_a_read_only_folder_with_spaces_is_graded_and_left_as_it_is(grade, base, tmp_path):
    """Files of its own that go by the names of libraries do no harm either."""
    folder = tmp_path / "my home work" / "team é 7 (final)"
    shutil.copytree(base, folder)
    for name in ("json", "random", "numpy", "torch", "safetensors", "sitecustomize"):
        (folder / f"{name}.py").write_text("raise SystemExit('not the library')\n")
    before = contents(folder)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        result = grade(folder)
        assert contents(folder) == before
    finally:
        folder.chmod(0o755)
    assert result["submission"] == "team é 7 (final)"
    assert result["score"] > 0
    names = ("prediction", "generation")
    assert all(c["passed"] is not False for c in result["checks"] if c["id"] not in names)


def test_the_four_modules_and_weights_one_folder_down_in_an_archive_suffice(grade, base, tmp_path):
    path = tmp_path / "my team.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*(f"{name}.py" for name in CLASSES), WEIGHTS):
            archive.add(base / name, f"my team/{name}")
    result = grade(path)
    assert result["submission"] == "my team"
    assert all(c["passed"] is not False for c in result["checks"] if "." in c["id"])
    assert result["metrics"]["generation_nll"] > 0


def test_what_cannot_be_read_earns_nothing_and_is_a_grade_all_the_same(grade, tmp_path, capsys):
    (tmp_path / "team.zip").write_bytes(b"not a zip")
    result = grade(tmp_path / "team.zip")
    assert (result["score"], result["max_score"]) == (0, 100)
    assert "make handin" in capsys.readouterr().out


def run(*arguments: str | Path) -> int:
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    "arguments",
    [
        ("grade", "no such folder"),
        ("grade", "no such folder", "--corpus", "numbers"),
        ("check", "no such folder"),
        ("handin", "no such folder"),
        ("grade", "--corpus", "bible"),
        ("grade", "a", "b"),
        ("grade", "handout", "--points", "100"),
        ("grades",),
        (),
        ("fixtures", "--corpus", "numbers"),
        ("fixtures", "--corpus", "numbers", "--secret", "public"),
        ("fixtures", "--corpus", "numbers", "--secret", ""),
        ("fixtures", "--corpus", "numbers", "--secret-file", "a file"),
        ("fixtures", "--corpus", "numbers", "--secret-file", "a file/below"),
        ("grade", "handout", "--corpus", "numbers", "--out", "a file/below"),
    ],
)
def test_usage_errors_exit_2_and_say_what_is_wrong(arguments, tmp_path, monkeypatch, data, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMKIT_DATA", str(data))
    (tmp_path / "a file").touch()
    assert run(*arguments) == 2
    assert "error:" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_hidden_fixtures_are_drawn_and_graded_by_command(grade, base, tmp_path, capsys):
    hidden = tmp_path / "hidden"
    command = ("fixtures", "--corpus", "numbers", "--secret", "xyzzy", "--out", hidden)
    assert run(*command) == 0
    said = capsys.readouterr().out
    if os.name == "posix":
        assert hidden.stat().st_mode & 0o777 == 0o700
    result = grade(base, "--fixtures", hidden, "--practice")
    assert result["official"] is (result["environment"]["tier"] in ("T1", "T2", "T3"))
    assert result["fixtures"] in said
    assert result["samples"] == []
    assert "xyzzy" not in said + json.dumps(result)
    # Damaged, they give no grade at all.
    path = hidden / "targets.npz"
    path.write_bytes(path.read_bytes()[:-9])
    out = tmp_path / "none"
    arguments = ("grade", base, "--corpus", "numbers", "--fixtures", hidden, "--out", out)
    assert run(*arguments, "--practice") == 3
    assert "the grader's own fault" in capsys.readouterr().err
    assert not (out / "results.json").exists()


def test_a_secret_is_made_once_and_kept_for_one_reader(tmp_path, data, monkeypatch, capsys):
    monkeypatch.setenv("LMKIT_DATA", str(data))
    kept = tmp_path / "secret"
    digests = []
    for given in ("--secret-file", kept), ("--secret-file", kept), ("--secret", None):
        given = (given[0], given[1] or kept.read_text().strip())
        assert run("fixtures", "--corpus", "numbers", *given, "--out", tmp_path / "out") == 0
        said = capsys.readouterr().out
        assert kept.read_text().strip() not in said
        digests += re.findall(r"^digest (\w+)$", said, re.M)
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert len(kept.read_text()) == 33
    if os.name == "posix":
        assert kept.stat().st_mode & 0o777 == 0o600


def test_hidden_fixtures_are_for_a_sandbox_unless_it_is_for_practice(
    grade, base, public, tmp_path, capsys
):
    hidden, out = tmp_path / "hidden", tmp_path / "none"
    fixtures.save(replace(public, public=False), hidden)
    command = ("grade", base, "--corpus", "numbers", "--fixtures", hidden, "--sandbox", "T5")
    assert run(*command, "--out", out) == 3
    told = capsys.readouterr().err
    assert "no sandbox will do for official grading" in told
    assert "--practice" in told
    assert list(out.iterdir()) == []
    result = grade(base, "--fixtures", hidden, "--sandbox", "T5", "--practice")
    assert (result["official"], result["environment"]["tier"]) == (False, "T5")


@pytest.mark.parametrize("arguments", [("--fixtures", "nowhere")])
def test_fixtures_that_are_not_there_exit_3(arguments, base, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LMKIT_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    assert run("grade", base, "--corpus", "numbers", *arguments) == 3
    assert "no fixtures can be read from nowhere" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_used_exits_3(base, tmp_path, monkeypatch, capsys):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("LMKIT_DATA", str(tmp_path / "a file"))
    assert run("grade", base, "--corpus", "numbers", "--out", tmp_path / "out") == 3
    assert "LMKIT_DATA" in capsys.readouterr().err


@pytest.fixture(scope="module")
def kit(tmp_path_factory) -> Path:
    """A copy of the kit, to be damaged."""
    folder = tmp_path_factory.mktemp("kit")
    shutil.copytree(
        ROOT / "autograder",
        folder / "autograder",
        ignore=shutil.ignore_patterns("__pycache__", "wikitext2.safetensors"),
    )
    shutil.copytree(
        ROOT / "handout",
        folder / "handout",
        ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "*.md"),
    )
    return folder


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("rubric.toml", b"[numbers.prediction]\nsteps = [[1, 2]]\n", "rubric.toml: [numbers]"),
        ("referee/numbers.safetensors", None, "there is no referee for numbers"),
        ("referee/numbers.safetensors", b"\0" * 99, "numbers.safetensors is damaged"),
    ],
    ids=["rubric", "no referee", "damaged referee"],
)
def test_a_damaged_kit_exits_3_and_gives_no_grade(kit, data, tmp_path, file, damage, says):
    path = kit / "autograder" / file
    whole = path.read_bytes()
    try:
        path.unlink() if damage is None else path.write_bytes(damage)
        command = ("grade", "--corpus", "numbers", "--out", tmp_path / "out")
        status, out, err = finish(start(*command, cwd=tmp_path, data=data, kit=kit))
    finally:
        path.write_bytes(whole)
    assert status == 3
    assert out == ""
    assert "no grade: the grader's own fault" in err
    assert says in err
    assert not (tmp_path / "out" / "results.json").exists()


def test_check_shows_the_checks_and_writes_nothing(base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("check", base) == 0
    shown = capsys.readouterr().out
    assert "data_loader" in shown
    assert "inference" in shown
    assert list(tmp_path.iterdir()) == []


def test_rooms_of_the_solution_run_as_commands_and_take_arguments_of_their_own(tmp_path):
    """Tried with one room of each form; every room's module has to be there."""
    for (module, *_), _ in training.ROOMS.values():
        path = ROOT / "solution" / module.replace(".", "/")
        assert (path / "__main__.py").exists() or path.with_suffix(".py").exists(), module
    process = start("schedules", "drawn.png", cwd=tmp_path, data=tmp_path)
    assert finish(process)[:2] == (0, "drew drawn.png\n")
    assert (tmp_path / "drawn.png").exists()
    status, out, _ = finish(start("evaluate", "--help", cwd=tmp_path, data=tmp_path))
    assert status == 0
    assert "--system {static,cache,dynamic}" in out


def test_make_and_the_command_line_offer_the_same_rooms():
    targets = (ROOT / "Makefile").read_text()
    for name in training.ROOMS:
        assert f"\n{name}: ## " in targets, name
        assert f"$(KIT) {name} $(ARGS)" in targets, name
