"""Platforms: each reads what it expects, for good, bad and hostile hand-ins; a fault is no mark.

Schemas are written here by hand, from the platforms' own documentation. The real entry scripts run
where a platform puts them: in a file system with /autograder or /grade of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from autograder import cli, fixtures, release
from autograder.commands import hand_ins as commands
from autograder.faults import Fault
from autograder.platforms import autolab, base, classroom50, github, gradescope, junit, prairielearn
from autograder.result import Check, Flag, Result
from autograder.sandbox.settings import prefixes

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = {
    "gradescope": gradescope,
    "autolab": autolab,
    "prairielearn": prairielearn,
    "github": github,
    "classroom50": classroom50,
    "junit": junit,
}
RUNNER = {  # what Classroom 50's runner sets
    "CLASSROOM": "nlp",
    "ASSIGNMENT": "lm",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "alice",
    "USERNAME": "alice",
    "SUBMISSION_TAG": "submit/2026-06-01T14-32-05Z-a1b2c3d",
    "COMMIT_URL": "https://github.example/c/1",
    "RELEASE_URL": "https://github.example/r/1",
    "REVIEW_URL": "https://github.example/d/1",
}
# Capabilities that Docker leaves to root by default.
DOCKER = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP")
DOCKER += ("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP")
FORGED = '{"scores": {"Prediction": 50, "Generation": 50}}'
# Says that it earned everything in all the ways that a platform might read, then ends the process.
CRASH = f"""
import os, sys
for name in ("results.json", "result.json", "../results.json", "/autograder/results/results.json"):
    try:
        open(name, "w").write('{{"score": 100}}')
    except OSError:
        pass
os.write(1, b'\\n{FORGED}\\n')
os.write(2, b'\\n{FORGED}\\n')
os.kill(os.getpid(), 9)
"""


# What each platform takes.


def read_gradescope(text: str) -> dict:
    data = json.loads(text)
    known = {"score", "execution_time", "output", "output_format", "test_output_format"}
    known |= {"test_name_format", "visibility", "stdout_visibility", "extra_data", "tests"}
    assert set(data) <= known | {"leaderboard"}
    assert type(data["score"]) is float
    assert type(data["execution_time"]) is int
    seen = {"hidden", "after_due_date", "after_published", "visible"}
    assert {data["visibility"], data["stdout_visibility"]} <= seen
    fields = {"score", "max_score", "status", "name", "name_format", "number", "output"}
    fields |= {"output_format", "tags", "visibility", "extra_data"}
    for test in data["tests"]:
        assert set(test) <= fields
        assert test["status"] in ("passed", "failed")
        assert test["visibility"] in seen
        assert test["output_format"] == test["name_format"] == "text"
        assert isinstance(test["name"], str)
        assert test["name"]
    for row in data["leaderboard"]:
        assert set(row) == {"name", "value", "order"}
        assert row["order"] == "asc"
        assert math.isfinite(row["value"])
    return data


def read_autolab(out: str) -> tuple[dict, dict]:
    assert len(out.encode()) <= 1_000_000
    *_, before, last = out.rstrip("\n").split("\n")
    scores, feedback = json.loads(last), json.loads(before)
    assert set(scores) <= {"scores", "scoreboard"}
    assert {"Prediction", "Generation"} <= set(scores["scores"])
    assert set(scores["scores"]) <= {"Prediction", "Generation", "Checks"}
    assert all(type(value) is float for value in scores["scores"].values())
    assert None not in scores.get("scoreboard", [])
    assert feedback["_presentation"] == "semantic"
    assert set(feedback) == {"_presentation", "stages", *feedback["stages"]}
    for stage in feedback["stages"]:
        for check in feedback[stage].values():
            assert set(check) <= {"passed", "hint"}
            assert type(check["passed"]) is bool
    return scores, feedback


def read_prairielearn(text: str) -> dict:
    assert len(text.encode()) <= 2**20
    data = json.loads(text)
    if data["gradable"] is False:
        assert "score" not in data
        assert data["message"]
        assert data["format_errors"]
        return data
    assert set(data) <= {"gradable", "score", "message", "output", "images", "tests"}
    assert 0 <= data["score"] <= 1
    fields = {"name", "description", "points", "max_points", "message", "output", "images"}
    assert all(set(test) <= fields for test in data["tests"])
    return data


def read_classroom50(text: str) -> dict:
    data = json.loads(text)
    words = {"schema", "classroom", "assignment", "assignment_type", "owner", "submission"}
    words |= {"commit", "release", "review", "datetime", "graded_at"}
    assert set(data) == words | {"score", "max-score", "tests", "submitted_by"}
    assert all(isinstance(data[word], str) and data[word] for word in words)
    assert data["schema"] == "classroom50/result/v1"
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}Z", data[w]) for w in ("datetime", "graded_at"))
    for name in ("score", "max-score"):
        assert type(data[name]) is int
        assert data[name] == sum(test[name] for test in data["tests"])
    for test in data["tests"]:
        assert set(test) == {"test-name", "passed", "score", "max-score", "message"}
        assert type(test["passed"]) is bool
        assert type(test["score"]) is type(test["max-score"]) is int
    return data


def read_junit(text: str) -> ET.Element:
    suite = ET.fromstring(text.encode())
    cases = suite.findall("testcase")
    assert suite.tag == "testsuite"
    assert int(suite.get("tests")) == len(cases)
    for tag, count in (("failure", "failures"), ("skipped", "skipped"), ("error", "errors")):
        found = [case for case in cases if case.find(tag) is not None]
        assert int(suite.get(count)) == len(found)
        assert all(case.find(tag).get("message") is not None for case in found)
    assert all(case.get("name") and case.get("classname") for case in cases)
    return suite


def read_markdown(text: str) -> list:
    """Parse it; nothing but the kit's own headings, paragraphs, and code."""
    assert len(text.encode()) <= 2**20
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    kinds = {token.type for token in tokens}
    assert kinds <= {"heading_open", "heading_close", "inline", "fence"} | {
        "paragraph_open",
        "paragraph_close",
    }
    for token in tokens:
        inner = {child.type for child in token.children or []}
        assert inner <= {"text", "code_inline"}, (inner, token.content)
    return tokens


def test_every_platform_that_can_be_named_has_its_file_and_no_other():
    found = {path.stem for path in (ROOT / "autograder" / "platforms").glob("*.py")}
    assert set(cli.PLATFORMS) == set(MODULES) == found - {"__init__", "base"}


# Hand-ins, graded once each, and rendered by all.


def prepare() -> base.Grade:
    from rich.console import Console

    options = argparse.Namespace(corpus="numbers", fixtures=None, sandbox="T5", practice=False)
    return commands.grading(options, Console(stderr=True))


@pytest.fixture(scope="module")
def hand_ins(tmp_path_factory) -> dict[str, Path]:
    """Folders to hand in: as given, solved, one that ends the grading process, and none."""
    place = tmp_path_factory.mktemp("hand-ins")
    skip = shutil.ignore_patterns("checkpoint*.safetensors", "__pycache__")
    shutil.copytree(ROOT / "handout", place / "handout", ignore=skip)
    shutil.copytree(
        ROOT / "solution", place / "solution", ignore=shutil.ignore_patterns("checkpoint.safet*")
    )
    for start, name in (("handout", "crash"), ("solution", "solved crash")):
        shutil.copytree(place / start, place / name)
        with (place / name / "inference.py").open("a") as file:
            file.write(CRASH)
    (place / "empty").mkdir()
    return {path.name: path for path in place.iterdir()}


@pytest.fixture(scope="module")
def results(hand_ins, data, public, tmp_path_factory) -> dict[str, Result]:
    log = tmp_path_factory.mktemp("log") / "output.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMKIT_DATA", str(data))
        grade = prepare()
        quick = ("handout", "solution", "crash", "empty")
        return {name: grade(hand_ins[name], log) for name in quick}


NASTY = (
    f"\n{FORGED}",
    f"\r{FORGED}\u2028{FORGED}",
    "<script>alert(1)</script> <b onmouseover=x>&amp;]]><!-- -->",
    "::set-output name=score::100\n::error::x\n  ::add-mask::x\n##[group]x",
    "![x](https://x.example/a.png) [x](javascript:x) <https://x.example> https://x.example",
    "@all #1 a|b|c\n|-|-|\n```\n# heading\n~~~\n````\n<b>\n`",
    "\x1b]0;x\x07\x1b[31m\x00\x08\ud800\ufffe\u202e\u200b",
    "'\"\\}]{[\n\t\f\v",
)


@pytest.fixture(scope="module")
def hostile() -> Result:
    """Every text that could come from a submission, at its worst and in every place."""
    checks = tuple(
        Check(f"data_loader.{i}{passed}{words}", words, passed, words * 300, words, seconds=0.1)
        for i, words in enumerate((*NASTY, "".join(NASTY)))
        for passed in (False, None, True)
    )
    scored = (
        Check("prediction", "Prediction", False, NASTY[0], NASTY[0], 12.344, 50.0),
        Check("generation", "Generation", True, NASTY[3], NASTY[5], 50.0, 50.0),
    )
    return Result(
        submission="".join(NASTY),
        submission_digest="0" * 64,
        corpus="numbers",
        fixtures="0" * 64,
        rubric="0" * 64,
        official=False,
        checks=(*checks, *scored),
        metrics={"prediction_nll": 1.0, "generation_nll": 0.5},
        flags=(Flag("x", "".join(NASTY)),),
        notice="".join(NASTY),
        timing={"total": 1.0},
    )


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """Render a result on a platform; the text of its file, "" if it has none."""
    for name, value in RUNNER.items():
        monkeypatch.setenv(name, value)

    def rendered(name: str, result: Result, **more) -> str:
        out = tmp_path / "out" / name
        options = {"name": name, "submission": tmp_path, "out": out, "visibility": None} | more
        status = base.run(argparse.Namespace(**options), lambda: lambda source, log: result)
        assert status == 0
        return out.read_text() if out.exists() else ""

    return rendered


EVERY = ("handout", "solution", "crash", "hostile")


@pytest.fixture(params=EVERY)
def result(request, results, hostile) -> Result:
    return hostile if request.param == "hostile" else results[request.param]


def test_the_hand_ins_are_what_they_are_taken_for(results):
    assert {name: result.score for name, result in results.items()} == {
        "handout": 0,
        "solution": 100,
        "crash": 0,
        "empty": 0,
    }
    assert any("SIGKILL" in check.message for check in results["crash"].checks)


def test_gradescope_reads_each_result(result, rendered, capsys):
    data = read_gradescope(rendered("gradescope", result))
    assert data["score"] == result.score
    points = [t for t in data["tests"] if "max_score" in t]
    assert sum(t["max_score"] for t in points) == result.max_score
    assert [t["status"] == "passed" for t in data["tests"]] == [
        item.passed is True for item in base.items(result)
    ]


def test_autolab_reads_each_result(result, rendered, capsys):
    rendered("autolab", result)
    scores, feedback = read_autolab(capsys.readouterr().out)
    assert sum(scores["scores"].values()) == pytest.approx(result.score)
    passed = [c["passed"] for stage in feedback["stages"] for c in feedback[stage].values()]
    assert len(passed) == len(base.items(result))
    assert sum(passed) == sum(item.passed is True for item in base.items(result))


def test_prairielearn_reads_each_result(result, rendered):
    data = read_prairielearn(rendered("prairielearn", result))
    assert data["score"] == pytest.approx(result.score / result.max_score, abs=1e-6)


def test_classroom50_reads_each_result_in_whole_points_never_too_many(result, rendered):
    data = read_classroom50(rendered("classroom50", result))
    assert result.score - len(result.checks) < data["score"] <= result.score
    assert data["max-score"] == result.max_score
    assert data["datetime"] == "2026-06-01T14:32:05Z"
    again = read_classroom50(rendered("classroom50", result))
    assert {**data, "graded_at": ""} == {**again, "graded_at": ""}


def test_junit_reads_each_result(result, rendered):
    suite = read_junit(rendered("junit", result))
    failed = sum(item.passed is False for item in base.items(result))
    assert int(suite.get("failures")) == failed
    assert int(suite.get("errors")) == 0


def test_github_reads_each_result_as_text_and_obeys_none_of_it(result, rendered, capsys):
    tokens = read_markdown(rendered("github", result))
    marks = [t.content[0] for t in tokens if t.type == "inline" and t.content[0] in "✓✗–"]
    wanted = [github.SIGNS[item.passed] for item in base.items(result)]
    assert marks == wanted


@pytest.mark.parametrize("name", MODULES)
def test_no_platform_prints_a_command_of_actions_or_a_second_grade(name, rendered, hostile, capsys):
    rendered(name, hostile)
    lines = capsys.readouterr().out.splitlines()
    if name in ("github", "classroom50", "junit"):
        assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
        assert len(lines) == 1
    if name == "autolab":
        assert [line.startswith('{"scores"') for line in lines] == [False, True]
        assert json.loads(lines[1])["scores"]["Prediction"] == 12.34


@pytest.mark.parametrize("name", MODULES)
def test_texts_come_without_what_a_terminal_obeys_or_a_reader_cannot_see(name, rendered, hostile):
    text = rendered(name, hostile)
    if name in ("gradescope", "prairielearn", "classroom50"):
        text = json.dumps(json.loads(text), ensure_ascii=False)
    unseen = set("\x1b\x00\x08\r\u2028\u202e\u200b\ufffe\x07")
    assert not unseen & set(text)


@pytest.mark.parametrize("name", ["gradescope", "github", "prairielearn", "junit"])
def test_a_student_is_told_what_was_graded(name, results, rendered):
    receipt = results["solution"].receipt
    assert set(receipt) == {"code", "weights"}
    text = rendered(name, results["solution"])
    for part, digest in receipt.items():
        assert f"{part} {digest[:16]}" in text


@pytest.mark.parametrize("name", ["github", "autolab", "prairielearn", "classroom50", "junit"])
def test_flags_are_kept_from_what_students_see(name, results, rendered, capsys):
    flagged = replace(results["solution"], flags=(Flag("odd", "look at this one"),))
    text = rendered(name, flagged)
    assert "look at this" not in text + capsys.readouterr().out


def test_flags_are_told_to_a_gradescope_instructor_only(results, rendered, capsys):
    flagged = replace(results["solution"], flags=(Flag("odd", "look at this one"),))
    data = read_gradescope(rendered("gradescope", flagged))
    assert data["extra_data"]["flags"] == ["look at this one"]
    assert data["stdout_visibility"] == "hidden"
    assert "look at this" not in json.dumps({**data, "extra_data": {}})
    assert "flag: look at this one" in capsys.readouterr().out


def test_feedback_that_is_too_long_gives_way_to_the_scores(rendered, hostile, capsys):
    many = tuple(Check(f"trainer.{i}", f"check {i}", False, "\u4e00" * 2000) for i in range(200))
    rendered("autolab", replace(hostile, checks=(*hostile.checks, *many)))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["scores"] == {"Prediction": 12.34, "Generation": 50.0}


def test_checks_that_carry_points_are_a_problem_of_their_own(rendered, results, capsys):
    solved = results["solution"]
    worth = replace(solved.checks[1], score=2.5, max_score=5.0, passed=False)
    rendered("autolab", replace(solved, checks=(solved.checks[0], worth, *solved.checks[2:])))
    scores, _ = read_autolab(capsys.readouterr().out)
    assert scores["scores"] == {"Prediction": 50.0, "Generation": 50.0, "Checks": 2.5}


def test_a_figure_that_was_not_measured_is_left_off_the_leaderboard(results, rendered):
    solved = results["solution"]
    board = read_gradescope(rendered("gradescope", solved))["leaderboard"]
    names = ("prediction_nll", "generation_nll")
    assert [row["value"] for row in board] == [solved.metrics[name] for name in names]
    metrics = {k: v for k, v in solved.metrics.items() if k != "prediction_nll"}
    data = read_gradescope(rendered("gradescope", replace(solved, metrics=metrics)))
    assert [row["name"] for row in data["leaderboard"]] == ["Generation NLL"]
    assert read_gradescope(rendered("gradescope", results["crash"]))["leaderboard"] == []


@pytest.mark.parametrize("visibility", cli.VISIBILITIES)
def test_the_visibility_that_is_asked_for_is_that_of_single_checks(visibility, results, rendered):
    data = read_gradescope(rendered("gradescope", results["crash"], visibility=visibility))
    assert {test["visibility"] for test in data["tests"]} == {visibility}
    assert data["visibility"] == "visible"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (
            '{"created_at": "2026-01-01", "users": [{"name": "Ada \\u001b[1mL", "email": "x"}]}',
            {"created_at": "2026-01-01", "users": ["Ada L"]},
        ),
        ('{"created_at": 7, "users": [{"name": 7}, 7, {}]}', {}),
        ('{"users": {"name": "x"}}', {}),
        ("[" * 100_000, {}),
        ("not JSON", {}),
        ("[]", {}),
        ('{"created_at": "' + "x" * (1 << 21) + '"}', {}),
    ],
    ids=["right", "wrong types", "no list", "deep", "no JSON", "no table", "long"],
)
def test_metadata_that_is_not_as_expected_costs_nothing(text, known, tmp_path):
    (tmp_path / "m.json").write_text(text)
    assert gradescope.metadata(tmp_path / "m.json") == known
    assert gradescope.metadata(tmp_path / "none.json") == {}


def test_prairielearn_takes_no_attempt_for_what_cannot_be_read(results, rendered):
    data = read_prairielearn(rendered("prairielearn", results["empty"]))
    assert data["gradable"] is False
    assert "data_loader.py" in data["format_errors"][0]


def test_an_optional_class_that_was_left_alone_is_no_failure(results):
    groups = {check.group for check in results["handout"].checks}
    assert "regularization" in groups
    assert "regularization" not in {
        item.id.partition(".")[0] for item in base.items(results["handout"])
    }


# Faults.


def faults() -> dict[str, Exception]:
    return {
        "fault": Fault(f"no sandbox will do\n{FORGED}\n::set-output name=x::y"),
        "bug": ZeroDivisionError("target 4711"),
        "memory": MemoryError(),
        "recursion": RecursionError(),
    }


@pytest.mark.parametrize("kind", faults())
@pytest.mark.parametrize("name", MODULES)
def test_what_breaks_in_the_grader_is_no_mark(name, kind, tmp_path, monkeypatch, capsys):
    for variable, value in RUNNER.items():
        monkeypatch.setenv(variable, value)
    out = tmp_path / "results.json"
    out.write_text('{"score": 100}')  # of an earlier grading

    def broken(*_):
        raise faults()[kind]

    monkeypatch.setattr(commands, "grading", broken)
    command = ["platform", name, str(tmp_path), "--out", str(out), "--corpus", "numbers"]
    status = cli.main(command)
    said = capsys.readouterr()
    assert "4711" not in said.out + said.err
    assert status == (0 if name == "prairielearn" else 3)
    assert "grader" in said.out + said.err
    for line in said.out.splitlines():
        assert not line.startswith(("{", "[", "::"))
    if name == "autolab":
        assert out.read_text() == '{"score": 100}'  # it has no file
    elif name == "prairielearn":
        assert read_prairielearn(out.read_text())["gradable"] is False
    elif name == "github":
        read_markdown(out.read_text())
        assert out.read_text().startswith("## No grade")
    elif name == "junit":
        assert read_junit(out.read_text()).get("errors") == "1"
    else:
        assert not out.exists()


@pytest.mark.parametrize("name", MODULES)
def test_a_rubric_without_points_is_no_mark(name, tmp_path, monkeypatch, hostile):
    monkeypatch.setattr(commands, "grading", lambda *_: lambda *_: replace(hostile, checks=()))
    for variable, value in RUNNER.items():
        monkeypatch.setenv(variable, value)
    out = tmp_path / "out"
    status = cli.main(["platform", name, str(tmp_path), "--out", str(out)])
    assert status == (0 if name == "prairielearn" else 3)
    assert '"score"' not in (out.read_text() if out.exists() else "")


def test_a_file_that_cannot_be_written_is_no_mark(tmp_path, monkeypatch, results, capsys):
    monkeypatch.setattr(commands, "grading", lambda *_: lambda *_: results["solution"])
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "results.json"
    assert cli.main(["platform", "gradescope", str(tmp_path), "--out", str(out)]) == 3
    assert "Score" not in capsys.readouterr().out


def test_an_interrupted_grading_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "grading", stopped)
    out = tmp_path / "results.json"
    out.write_text("{}")
    assert cli.main(["platform", "gradescope", str(tmp_path), "--out", str(out)]) == 130
    assert not out.exists()


def test_without_the_runners_words_classroom50_gives_no_result(tmp_path, monkeypatch, capsys):
    for variable in RUNNER:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["platform", "classroom50"]) == 3
    assert "CLASSROOM" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


# Where the hand-in is.


def test_a_lone_archive_among_uploaded_files_is_the_hand_in(tmp_path):
    (tmp_path / "handin.tar").touch()
    (tmp_path / "notes.txt").touch()
    assert base.within(tmp_path) == tmp_path / "handin.tar"
    (tmp_path / "other.zip").touch()
    assert base.within(tmp_path) == tmp_path
    (tmp_path / "other.zip").unlink()
    (tmp_path / "trainer.py").touch()
    assert base.within(tmp_path) == tmp_path


def test_a_link_is_never_taken_for_the_archive(tmp_path):
    (tmp_path / "secret.tar").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "handin.tar").symlink_to(tmp_path / "secret.tar")
    assert base.within(tmp_path / "in") == tmp_path / "in"


def test_a_folder_that_the_platform_did_not_make_is_a_fault(tmp_path):
    with pytest.raises(Fault, match="is not there"):
        base.within(tmp_path / "none")
    for module in (autolab, github, junit):
        options = argparse.Namespace(submission=tmp_path / "none", out=None)
        with pytest.raises(Fault, match="there is no"):
            module.platform(options).source()


# The scripts that the platforms start, where the platforms put them.


def no_world() -> str:
    """Why no file system of one's own can be made here, "" where it can."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("bwrap") is None:
        return "needs Linux, root and bubblewrap"
    tried = subprocess.run(world({}, ["true"]), capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"bubblewrap fails: {tried.stderr.strip()}"


def world(folders: dict[str, Path], command: list[str], container: bool = False) -> list[str]:
    """Return a command in a file system that is this one with some folders more.

    In a `container` root has what Docker leaves it, and all users may reach the interpreter.
    """
    words = ["bwrap", "--die-with-parent"]
    rights = [f"CAP_{name}" for name in DOCKER] if container else ["ALL"]
    words += ["--cap-drop", "ALL", *(word for right in rights for word in ("--cap-add", right))]
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        else:
            words += ["--dev-bind" if path.is_dir() else "--ro-bind", str(path), str(path)]
    for path in prefixes() if container else ():
        above = [*reversed(path.parents)]
        shut = [place for place, f in enumerate(above) if not f.stat().st_mode & 0o001]
        for place, folder in enumerate(above[shut[0] :] if shut else ()):
            words += ["--perms", "0755", "--dir" if place else "--tmpfs", str(folder)]
        words += ["--ro-bind", str(path), str(path)]
    for place, folder in folders.items():
        words += ["--bind", str(folder), place]
    return [*words, *command]


@pytest.fixture(scope="module")
def needs_world() -> None:
    if reason := no_world():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def dist(tmp_path_factory, numbers, judge) -> Path:
    """The packages, with hidden fixtures of `numbers`."""
    place = tmp_path_factory.mktemp("dist")
    fixtures.save(fixtures.draw(numbers, "test", "a secret", judge), place / "hidden")
    release.build(place, "numbers", place / "hidden")
    return place


@pytest.fixture(scope="module")
def environment(data, public) -> dict[str, str]:
    """What an image would have: this interpreter for the environment, this corpus."""
    bin = Path(sys.executable).parent
    # Of a `make test` too, whose own words its child would say.
    ours = ("GITHUB_", "PYTHONPATH", "MAKE", "MFLAGS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return kept | {
        "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "LMKIT_VENV": "none",
        "LMKIT_DATA": str(data),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Site:
    """One platform with its package in place; `run` gives status, standard output and its file."""

    def __init__(self, place: Path, dist: Path, environment: dict[str, str]) -> None:
        self.place, self.environment = place, dict(environment)
        self.lay(dist)

    def start(self, command: list[str], cwd: Path | None = None) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=cwd or self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # as Tango has it
            text=True,
            timeout=240,
        )
        return done.returncode, done.stdout


class OnGradescope(Site):
    file, hidden = "results/results.json", "source/kit/hidden"

    def lay(self, dist: Path) -> None:
        with zipfile.ZipFile(dist / "gradescope.zip") as archive:
            for info in archive.infolist():  # extractall forgets modes; unzip does not
                path = Path(archive.extract(info, self.place / "source"))
                path.chmod(info.external_attr >> 16 & 0o777)
        (self.place / "results").mkdir()
        about = {"created_at": "2026-01-01T00:00:00Z", "users": [{"name": "Ada", "id": 1}]}
        (self.place / "submission_metadata.json").write_text(json.dumps(about))

    def hand_in(self, folder: Path) -> None:
        shutil.copytree(folder, self.place / "submission")

    def run(self, container: bool = False) -> tuple[int, str]:
        script = ["sh", "-c", "cd /autograder && exec /autograder/source/run_autograder"]
        return self.start(world({"/autograder": self.place}, script, container))


class OnPrairieLearn(Site):
    file, hidden = "results/results.json", None

    def lay(self, dist: Path) -> None:
        shutil.copytree(dist / "prairielearn" / "tests", self.place / "tests")
        (self.place / "data").mkdir()
        (self.place / "data" / "data.json").write_text("{}")

    def hand_in(self, folder: Path) -> None:
        shutil.copytree(folder, self.place / "student")

    def run(self) -> tuple[int, str]:
        entrypoint = json.loads((release.ENTRY / "prairielearn" / "info.json").read_text())
        script = entrypoint["externalGradingOptions"]["entrypoint"]
        return self.start(world({"/grade": self.place}, [script]))


class OnAutolab(Site):
    file, hidden = None, None

    def lay(self, dist: Path) -> None:
        shutil.copy(dist / "autolab" / "autograde-Makefile", self.place / "Makefile")
        shutil.copy(dist / "autolab" / "autograde.tar", self.place)

    def hand_in(self, folder: Path) -> None:
        with tarfile.open(self.place / "handin.tar", "w") as archive:
            archive.add(folder, arcname=".")

    def run(self) -> tuple[int, str]:
        return self.start(["make"])


class OnGitHub(Site):
    file, hidden = "summary.md", None

    def lay(self, dist: Path) -> None:
        steps = (dist / "github" / "grade.yml").read_text()
        (self.corpus,) = re.findall(r"^ +CORPUS: (.*)$", steps, re.MULTILINE)
        self.command = re.findall(r"^ +run: (.*)$", steps, re.MULTILINE)[-1]
        subprocess.run(
            ["tar", "-xf", dist / "classroom50" / "kit.tar", "-C", self.place], check=True
        )
        self.environment |= {"CORPUS": self.corpus}
        self.environment |= {"GITHUB_STEP_SUMMARY": str(self.place / "summary.md")}

    def hand_in(self, folder: Path) -> None:
        shutil.copytree(folder, self.place / "submission" / "handout")

    def run(self) -> tuple[int, str]:
        return self.start(["bash", "-e", "-c", self.command])


class OnClassroom50(Site):
    file, hidden = "checkout/result.json", None

    def lay(self, dist: Path) -> None:
        shutil.copytree(dist / "classroom50", self.place / "bundle")
        self.environment |= RUNNER

    def hand_in(self, folder: Path) -> None:
        shutil.copytree(folder, self.place / "checkout")
        (self.place / "checkout" / "result.json").write_text('{"score": 100}')  # pushed with it

    def run(self) -> tuple[int, str]:
        script = self.place / "bundle" / "autograder.py"
        return self.start([sys.executable, str(script)], self.place / "checkout")


SITES = {
    "gradescope": OnGradescope,
    "prairielearn": OnPrairieLearn,
    "autolab": OnAutolab,
    "github": OnGitHub,
    "classroom50": OnClassroom50,
}
OFFICIAL = ("gradescope", "prairielearn", "autolab")  # whose packages hold the hidden fixtures


@pytest.fixture
def site(tmp_path, dist, environment, needs_world):
    def site(name: str) -> Site:
        return SITES[name](tmp_path, dist, environment)

    return site


def earned(name: str, text: str, out: str) -> float:
    """The points that a platform would write down, of 100."""
    if name == "gradescope":
        return read_gradescope(text)["score"]
    if name == "autolab":
        return sum(read_autolab(out)[0]["scores"].values())
    if name == "prairielearn":
        return 100 * read_prairielearn(text)["score"]
    if name == "classroom50":
        return read_classroom50(text)["score"]
    read_markdown(text)
    return float(re.match(r"## Score ([\d.]+) of 100\n", text)[1])


def graded(site: Site, name: str, folder: Path) -> tuple[float, str, str]:
    site.hand_in(folder)
    status, out = site.run()
    assert status == 0, out
    text = (site.place / site.file).read_text() if site.file else ""
    return earned(name, text, out), text, out


@pytest.mark.parametrize(
    "name", [n if n in OFFICIAL else pytest.param(n, marks=pytest.mark.slow) for n in SITES]
)
def test_its_own_script_grades_the_untouched_handout(name, site, hand_ins):
    score, text, out = graded(site(name), name, hand_ins["handout"])
    assert score == 0
    assert "not written yet" in text + out
    assert ("practice" in text) == (name not in OFFICIAL) or name in ("autolab", "classroom50")
    if name == "gradescope":
        data = json.loads(text)["extra_data"]
        assert data["official"] is True
        assert (data["created_at"], data["users"]) == ("2026-01-01T00:00:00Z", ["Ada"])


@pytest.mark.slow
@pytest.mark.parametrize(("hand_in", "points"), [("solution", 100), ("solved crash", 0)])
@pytest.mark.parametrize("name", SITES)
def test_its_own_script_grades_other_hand_ins(name, hand_in, points, site, hand_ins):
    place = site(name)
    score, _, out = graded(place, name, hand_ins[hand_in])
    assert score == points
    # On Autolab it is the last line that counts, and nothing of the submission's is in any.
    assert FORGED not in out


@pytest.mark.slow
def test_in_a_container_a_hand_in_is_graded_officially_as_another_user(site, hand_ins):
    place = site("gradescope")
    place.hand_in(hand_ins["solution"])
    status, out = place.run(container=True)
    assert status == 0, out
    data = read_gradescope((place.place / place.file).read_text())
    assert (data["score"], data["extra_data"]["official"]) == (100, True)
    assert "Sandbox T3" in out


@pytest.mark.parametrize("name", OFFICIAL)
def test_its_own_script_gives_no_mark_where_the_grader_cannot_start(name, site, hand_ins):
    place = site(name)
    place.environment["PYTHON"] = shutil.which("false")
    place.hand_in(hand_ins["handout"])
    status, out = place.run()
    text = place.place / (place.file or "none")
    if name == "prairielearn":
        assert status == 0
        assert read_prairielearn(text.read_text())["gradable"] is False
    else:
        assert status != 0
        assert not text.exists()
        assert "{" not in out


def broken(site: Site) -> None:
    """Damage what the grader needs: the referee, and hidden targets where there are any."""
    for path in site.place.rglob("*.tar"):
        if path.name == "handin.tar":
            continue
        with tarfile.open(path) as archive:
            members = [(m, archive.extractfile(m).read()) for m in archive.getmembers()]
        with tarfile.open(path, "w") as archive:
            for member, content in members:
                content = damaged(member.name, content)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    for path in [*site.place.rglob("kit/**/targets.npz"), *site.place.rglob("numbers.safetensors")]:
        path.write_bytes(damaged(path.name, path.read_bytes()))


def damaged(name: str, content: bytes) -> bytes:
    return content[:-99] if Path(name).name in ("targets.npz", "numbers.safetensors") else content


@pytest.mark.parametrize("name", SITES)
def test_its_own_script_gives_no_mark_where_the_grader_is_broken(name, site, hand_ins):
    place = site(name)
    broken(place)
    place.hand_in(hand_ins["solution"])
    if place.file:
        (place.place / place.file).parent.mkdir(exist_ok=True)
        (place.place / place.file).write_text('{"score": 100}')
    status, out = place.run()
    assert (status == 0) == (name == "prairielearn"), out
    assert "the grader's own fault" in out
    assert not out.rstrip().split("\n")[-1].startswith("{")
    text = place.place / (place.file or "none")
    if name == "prairielearn":
        assert read_prairielearn(text.read_text())["gradable"] is False
    elif name == "github":
        assert text.read_text().startswith("## No grade")
    else:
        assert not text.exists()


def test_hidden_fixtures_are_not_graded_on_where_no_sandbox_is_official(site, hand_ins):
    place = site("gradescope")
    script = place.place / "source" / "run_autograder"
    text = script.read_text()
    assert text.count("$FIXTURES") == 1
    script.write_text(text.replace("$FIXTURES", "$FIXTURES --sandbox T5"))
    place.hand_in(hand_ins["solution"])
    status, out = place.run()
    assert status == 3
    assert "no sandbox will do for official grading" in out
    assert not (place.place / "results" / "results.json").exists()
