"""environment.py: what is installed, when again, and what is said where it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autograder import environment
from autograder.rubric import tomllib

ROOT = environment.ROOT


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of its own, with environment.py pointed at it."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n'
        "dependencies = ['torch>=2.6', 'numpy>=1.26; python_version > \"3\"']\n"
        '[project.optional-dependencies]\ndev = ["ruff"]\n'
    )
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return tmp_path


def test_requirements_are_those_of_pyproject_and_the_extra(project):
    python = Path(sys.executable)
    wanted = ["torch>=2.6", 'numpy>=1.26; python_version > "3"']
    assert environment._requirements(python, None) == wanted
    assert environment._requirements(python, "dev") == [*wanted, "ruff"]


def test_all_that_is_needed_at_run_time_is_a_requirement_of_the_kit():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(environment.NEEDED) <= {line.partition(">")[0] for line in listed}
    pinned = (ROOT / "constraints.txt").read_text().lower()
    assert "torch==2.13.0" in pinned
    assert all(f"{name}==" in pinned for name in environment.NEEDED)


def test_the_digest_changes_with_constraints_requirements_and_python(project, monkeypatch):
    seen = {environment.digest()}
    assert environment.digest() in seen
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    seen.add(environment.digest())
    with (project / "pyproject.toml").open("a") as file:
        file.write("# another\n")
    seen.add(environment.digest())
    monkeypatch.setattr(sys, "version", "4.0")
    seen.add(environment.digest())
    assert len(seen) == 4


@pytest.fixture
def installs(project, monkeypatch) -> list:
    """Replace pip and venv; gives the list of what was to be installed."""
    calls: list = []

    def install(venv, python, extra):
        calls.append(extra)
        venv.mkdir(exist_ok=True)

    monkeypatch.setattr(environment, "_install", install)
    return calls


def test_set_up_is_done_once_and_again_after_a_change(project, installs):
    venv = project / "a venv"
    for _ in range(3):
        python = environment.set_up(venv)
    assert installs == [None]
    assert python.is_relative_to(venv)
    (project / "constraints.txt").write_text("torch==2.13.1\n")
    environment.set_up(venv)
    environment.set_up(venv)
    assert installs == [None, None]


def test_an_extra_is_set_up_apart(project, installs):
    venv = project / "venv"
    environment.set_up(venv)
    environment.set_up(venv, "dev")
    environment.set_up(venv, "dev")
    environment.set_up(venv)
    assert installs == [None, "dev"]


def test_a_set_up_that_failed_is_tried_again(project, monkeypatch, capsys):
    venv = project / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir(exist_ok=True)
    python.touch()
    tried = []

    def run(command, **_):
        tried.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(environment, "_requirements", lambda *_: ["torch>=2.6"])
    monkeypatch.setattr(environment.subprocess, "run", run)
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            environment.set_up(venv)
        assert end.value.code == 3
    assert len(tried) == 2
    assert tried[0][-1] == "torch>=2.6"
    assert "constraints.txt" in tried[0]
    assert tried[0][tried[0].index("--timeout") + 1] == "4"
    said = capsys.readouterr().err
    assert "pip could not install" in said
    assert "PIP_FIND_LINKS" in said


def test_a_folder_that_cannot_be_written_is_named_with_a_mend(project, installs, capsys):
    (project / "file").touch()
    with pytest.raises(SystemExit) as end:
        environment.set_up(project / "file" / "venv")
    assert end.value.code == 3
    assert "LMKIT_VENV=" in capsys.readouterr().err
    assert installs == []


def test_without_a_venv_missing_packages_are_named(monkeypatch, capsys):
    monkeypatch.setenv("LMKIT_VENV", "none")
    monkeypatch.setattr(environment, "NEEDED", ("numpy", "a_package_of_my_own", "json"))
    with pytest.raises(SystemExit) as end:
        environment.enter(["grade"])
    assert end.value.code == 3
    said = capsys.readouterr().err
    assert "missing: a_package_of_my_own\n" in said


def test_without_a_venv_nothing_is_set_up(monkeypatch, installs):
    monkeypatch.setenv("LMKIT_VENV", "none")
    environment.enter(["grade", "solution"])
    assert installs == []


@pytest.mark.parametrize("argv", [[], ["clean"], ["grade", "--help"], ["-h"]])
def test_help_and_clean_need_no_environment(project, monkeypatch, installs, argv):
    monkeypatch.setenv("LMKIT_VENV", str(project / "venv"))
    environment.enter(argv)
    assert installs == []


def test_help_works_with_an_interpreter_that_has_no_packages():
    """-S and -I leave site-packages out, which is where torch and NumPy would be."""
    code = (
        "import sys, runpy; sys.argv = ['autograder', *sys.argv[2:]]; "
        f"sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('autograder', run_name='__main__')"
    )
    for arguments in (["--help"], ["grade", "--help"]):
        done = subprocess.run(
            [sys.executable, "-S", "-I", "-B", "-c", code, "", *arguments],
            capture_output=True,
            text=True,
            env={"LMKIT_VENV": "none"},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage: python -m autograder" in done.stdout
