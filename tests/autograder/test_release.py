"""make release: what is in each package, what is in none, and that the students' copy works."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from autograder import cli, fixtures, release
from autograder.faults import Fault

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "a secret that nobody guesses"
INSTRUCTORS = ("release", "calibrate", "reference", "referee", "fixtures", "platform", "test")
WITH_HIDDEN = ("gradescope.zip", "autolab/autograde.tar", "prairielearn/tests/kit.tar")


@pytest.fixture(scope="module")
def hidden(numbers, judge, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hidden")
    fixtures.save(fixtures.draw(numbers, "test", SECRET, judge), folder)
    return folder


@pytest.fixture(scope="module")
def built(hidden, tmp_path_factory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("dist") / "dist"
    return out, release.build(out, "numbers", hidden)


@pytest.fixture(scope="module")
def dist(built) -> Path:
    return built[0]


def members(path: Path) -> dict[str, tuple[bytes, int]]:
    """Name, content and mode of what an archive holds."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {
                i.filename: (archive.read(i), i.external_attr >> 16) for i in archive.infolist()
            }
    with tarfile.open(path) as archive:
        return {m.name: (archive.extractfile(m).read(), m.mode) for m in archive.getmembers()}


@pytest.fixture(scope="module")
def packages(dist) -> dict[str, dict[str, tuple[bytes, int]]]:
    """All archives by name, and the loose files of each folder."""
    found = {}
    for path in sorted(dist.rglob("*")):
        name = path.relative_to(dist).as_posix()
        if path.suffix in (".zip", ".tar"):
            found[name] = members(path)
        elif path.is_file():
            found.setdefault("loose", {})[name] = (path.read_bytes(), path.stat().st_mode)
    return found


@pytest.fixture(scope="module")
def student(packages) -> dict[str, bytes]:
    return {name: content for name, (content, _) in packages["student.zip"].items()}


def strings_of(hidden: Path) -> list[bytes]:
    """What gives hidden fixtures away, in the forms that it might be packed in."""
    found = [SECRET.encode()]
    for path in hidden.iterdir():
        found.append(path.read_bytes()[:4096])
    with np.load(hidden / "targets.npz") as arrays:
        for name in arrays.files:
            values = arrays[name].ravel()[:24]
            found += [values.astype(kind).tobytes() for kind in (values.dtype, "<i4", "<f4")]
            found.append(json.dumps(values.tolist()[:8])[1:-1].encode())
    return found


def test_the_students_zip_holds_no_hidden_fixtures_no_secret_and_no_solution(student, hidden):
    kept = strings_of(hidden)
    assert len(kept) > 15
    assert all(len(text) > 20 for text in kept)
    solved = [p for p in (ROOT / "solution").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert len(solved) > 20
    solved = {path.read_bytes() for path in solved if path.stat().st_size > 64}
    for name, content in student.items():
        assert not [text for text in kept if text in content], name
        assert content not in solved, name
        parts = PurePosixPath(name).parts
        assert not {"solution", "hidden", "tests", "classroom", "entry"} & set(parts)
        assert not parts[-1].startswith(("checkpoint.safe", "checkpoint.numbers", "targets"))


def test_the_search_for_hidden_strings_finds_them_where_they_are(packages, hidden):
    """So that the test above does not pass by looking wrongly."""
    for name in WITH_HIDDEN:
        contents = [content for content, _ in packages[name].values()]
        found = [text for text in strings_of(hidden) if any(text in c for c in contents)]
        assert len(found) >= 7, name


def test_hidden_fixtures_are_where_students_do_not_see_them_and_nowhere_else(packages, hidden):
    whole = {path.read_bytes() for path in hidden.iterdir()}
    assert len(whole) == 3
    for package, content in packages.items():
        held = {data for data, _ in content.values()} & whole
        assert held == (whole if package in WITH_HIDDEN else set()), package
        for name, (data, mode) in content.items():
            if data in whole:
                assert "hidden" in PurePosixPath(name).parts
                assert mode & 0o777 == 0o600


def test_no_package_holds_the_solution(packages):
    solved = [p for p in (ROOT / "solution").rglob("*.py") if p.stat().st_size > 64]
    solved = {path.read_bytes() for path in [*solved, *(ROOT / "solution").glob("*.safetensors")]}
    for content in packages.values():
        assert not {data for data, _ in content.values()} & solved


def test_a_handout_that_was_worked_in_is_not_released(tmp_path):
    """A solution's file under a stub's name is a solution's file."""
    for room in ("autograder", "handout", "solution"):
        shutil.copytree(
            ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "ladder")
        )
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    assert release.student({}, tmp_path)
    shutil.copy(tmp_path / "solution" / "trainer.py", tmp_path / "handout")
    with pytest.raises(Fault, match=r"handout/trainer\.py is not for students"):
        release.student({}, tmp_path)


def test_a_file_that_is_missing_or_a_link_stops_the_release(tmp_path):
    (tmp_path / "a.py").touch()
    assert set(release.collect(["*.py"], tmp_path)) == {"a.py"}
    with pytest.raises(Fault, match="not whole"):
        release.collect(["*.toml"], tmp_path)
    (tmp_path / "b.py").symlink_to(tmp_path / "a.py")
    with pytest.raises(Fault, match="a link"):
        release.collect(["*.py"], tmp_path)


def test_public_fixtures_are_not_packed_as_hidden_ones(public, tmp_path):
    fixtures.save(public, tmp_path / "public")
    with pytest.raises(Fault, match="public fixtures"):
        release.build(tmp_path / "dist", "numbers", tmp_path / "public")
    with pytest.raises(Fault, match="no fixtures can be read"):
        release.build(tmp_path / "dist", "numbers", tmp_path / "nowhere")
    assert not (tmp_path / "dist").exists()


def test_the_same_source_gives_the_same_bytes(dist, hidden, tmp_path):
    release.build(tmp_path, "numbers", hidden)
    for path in dist.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(dist)).read_bytes(), path
    assert not list(dist.rglob(".*"))  # nothing half written


def test_what_platforms_start_can_be_started(packages):
    assert {"setup.sh", "run_autograder"} <= set(packages["gradescope.zip"])
    for name in ("setup.sh", "run_autograder"):
        content, mode = packages["gradescope.zip"][name]
        assert mode & 0o777 == 0o755
        assert content.startswith(b"#!/usr/bin/env bash\n")
    assert packages["loose"]["prairielearn/tests/run.sh"][1] & 0o777 == 0o755
    assert "autolab/autograde-Makefile" in packages["loose"]
    assert json.loads(packages["loose"]["prairielearn/info.json"][0])["gradingMethod"] == "External"
    for name, (content, _) in packages["loose"].items():
        if name.endswith(".sh"):
            subprocess.run(["bash", "-n"], input=content, check=True)


def test_every_script_is_set_to_the_corpus_and_the_hidden_fixtures(packages):
    scripts = {n: c.decode() for n, (c, _) in packages["loose"].items() if not n.endswith(".json")}
    scripts |= {
        n: packages["gradescope.zip"][n][0].decode() for n in ("setup.sh", "run_autograder")
    }
    assert len(scripts) == 7
    for name, text in scripts.items():
        assert re.search(r"CORPUS ?[=:] ?\"?numbers", text), name
        assert "wikitext2" not in text, name
    official = ("run_autograder", "autolab/autograde-Makefile", "prairielearn/tests/run.sh")
    for name, text in scripts.items():
        assert ("FIXTURES=--fixtures=hidden\n" in text) == (name in official), name


def test_without_fixtures_it_says_that_all_is_practice(tmp_path, built, capsys):
    assert cli.main(["release", "--corpus", "numbers", "--out", str(tmp_path / "dist")]) == 0
    said = capsys.readouterr().out
    assert "practice" in said
    assert "WARNING" not in said
    names = [*members(tmp_path / "dist" / "gradescope.zip")]
    assert names
    assert not [name for name in names if "hidden/" in name]
    assert "\nFIXTURES=\n" in (tmp_path / "dist" / "autolab" / "autograde-Makefile").read_text()
    warning = built[1].splitlines()[-1]
    assert warning.startswith("WARNING: ")
    assert all(name in warning for name in WITH_HIDDEN)


def test_all_that_a_copy_imports_is_in_it(student, packages):
    """At the top of a module; what is imported within a function may be an instructor's."""
    grader = {n.removeprefix("kit/"): c for n, (c, _) in packages["gradescope.zip"].items()}
    for copy in ({n.removeprefix("lm-kit/"): c for n, c in student.items()}, grader):
        modules = {name[:-3].replace("/", ".") for name in copy if name.endswith(".py")}
        modules |= {m.removesuffix(".__init__") for m in modules}
        seen = 0
        for name, content in copy.items():
            if not (name.startswith("autograder/") and name.endswith(".py")):
                continue
            package = name.split("/")[:-1]
            for node in ast.parse(content).body:
                if isinstance(node, ast.ImportFrom) and node.level:
                    base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
                    path = ".".join(base)
                    names = [path] if node.module else [f"{path}.{a.name}" for a in node.names]
                    names = [n for n in names if n != "autograder.__version__"]
                    assert set(names) <= modules, (name, names)
                    seen += 1
        assert seen > 50


# The students' copy.


@pytest.fixture(scope="module")
def copy(dist, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("student")
    with zipfile.ZipFile(dist / "student.zip") as archive:
        archive.extractall(place)
    return place / "lm-kit"


@pytest.fixture
def run(copy, data, public):
    """Run a command in the students' copy: status and all that it says."""

    def run(*command: str) -> tuple[int, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "WIKITEXT2")}
        environment = kept | {"LMKIT_VENV": "none", "LMKIT_DATA": str(data)}
        words = [sys.executable, "-m", "autograder", *command]
        if command[0] == "make":
            words = [*command, f"PYTHON={sys.executable}"]
        done = subprocess.run(
            words,
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert "Traceback" not in done.stdout
        return done.returncode, done.stdout

    return run


def test_the_students_copy_grades_the_untouched_handout(run):
    status, out = run("make", "grade", "CORPUS=numbers")
    assert status == 0
    assert "Score 0 of 100" in out
    assert "not written yet" in out


def test_the_students_copy_checks_and_packs(run, copy):
    status, out = run("handin", "--sandbox", "T5")
    assert status == 0
    assert "checks failed" in out
    with tarfile.open(copy / "handin.tar") as archive:
        assert "trainer.py" in archive.getnames()


def test_the_students_copy_can_train(run):
    status, out = run("make", "train", "CORPUS=numbers", "ARGS=--epochs 1")
    status = 1 if "Error 1" in out else status  # make's own is 2
    assert status == 1
    assert "not written yet" in out


def test_commands_that_students_have_not_are_not_listed_and_say_so(run):
    status, out = run("--help")
    assert status == 0
    listed = set(re.findall(r"^    ([a-z0-9-]+)", out, re.MULTILINE))
    assert listed == {"setup", "grade", "check", "train", "handin", "data", "clean"}
    status, out = run("make", "help")
    targets = set(re.findall(r"^  make ([a-z0-9-]+)", out, re.MULTILINE))
    assert (status, targets) == (0, set(release.TARGETS))


@pytest.mark.parametrize("command", [c for c in INSTRUCTORS if c not in ("platform", "fixtures")])
def test_an_instructors_command_in_the_students_copy_is_a_usage_error(command, run):
    arguments = ["x"] if command == "referee" else []
    status, out = run(command, *arguments)
    assert status == 2
    assert f"{command} is for instructors" in out


def test_here_every_command_is_listed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = set(re.findall(r"^    ([a-z0-9-]+)", capsys.readouterr().out, re.MULTILINE))
    assert {*INSTRUCTORS, "ladder", "study", "bench", "lint", "grade"} <= listed


def test_the_students_makefile_keeps_what_is_for_them_and_names_nothing_else():
    text = release.makefile((ROOT / "Makefile").read_text()).decode()
    rules = re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE)
    assert set(rules) == set(release.TARGETS)
    assert len(rules) == len(release.TARGETS)
    assert text.endswith(f".PHONY: {' '.join(release.TARGETS)}\n")
    assert "instructors" not in text
    assert "SUBMISSION ?= handout" in text


def test_archives_are_of_kinds_that_any_tool_unpacks(dist):
    with zipfile.ZipFile(dist / "student.zip") as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {release.EPOCH}
        assert all(info.filename.startswith("lm-kit/") for info in archive.infolist())
    packed = release.tarred({"b": (b"2", 0o644), "a": (b"1", 0o600)})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        found = [(m.name, m.mode, m.mtime, m.uid) for m in archive.getmembers()]
    assert found == [("a", 0o600, 0, 0), ("b", 0o644, 0, 0)]
