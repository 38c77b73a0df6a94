"""Sets up `.venv` with exact package versions, once, and runs the commands in it.

Only the standard library is imported, because nothing else is there yet. `LMKIT_VENV` names
another folder; `LMKIT_VENV=none` uses the interpreter at hand as it is (for notebook services,
which have torch already).
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from .files import locked

ROOT = Path(__file__).resolve().parent.parent
# commands that need an optional extra
EXTRAS = {
    "lint": "dev",
    "transfer": "transfer",
    "fuzz": "fuzz",
    "grade-class": "class",
    "grade-scheduler": "class",
    "grade-worker": "class",
}
# commands that list their own settings
OWN_HELP = ("train", "reference", "evaluate", "ladder", "transfer", "study", "attention", "find-lr")
NEEDED = ("torch", "numpy", "safetensors", "rich", "jinja2", "matplotlib", "pytest")
# pip waits this long for an answer, and asks twice: a download that cannot work ends within 10 s.
PIP_SECONDS = "4"


def enter(argv: list[str]) -> None:
    """Go on in the kit's environment: return if this is it, else set it up and run there.

    Raises:
        SystemExit: with the status of the command that was run there, or 3 if set-up failed.
    """
    folder = os.environ.get("LMKIT_VENV") or str(ROOT / ".venv")
    command, *after = [arg for arg in argv if not arg.startswith("-")] or [""]
    asks_help = "--help" in argv and command not in OWN_HELP
    if command in ("", "clean") or asks_help:
        return  # these need no packages
    if folder == "none":
        absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if absent:
            _fail(
                f"LMKIT_VENV=none, but these packages are missing: {', '.join(absent)}",
                "install them, or leave LMKIT_VENV out and have them set up",
            )
        return
    venv = Path(folder)
    wanted = after[0] if command == "setup" and after else EXTRAS.get(command)
    if wanted not in (None, *EXTRAS.values()):
        _fail(
            f"there is no extra {wanted}",
            f"name one of {', '.join(dict.fromkeys(EXTRAS.values()))}",
        )
    python = set_up(venv, wanted)
    if command == "setup" or Path(sys.prefix).resolve() == venv.resolve():
        return
    arguments = [str(python), "-m", "autograder", *argv]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if os.name == "posix":
        os.execve(python, arguments, environment)
    sys.exit(subprocess.run(arguments, env=environment).returncode)


def set_up(venv: Path, extra: str | None = None) -> Path:
    """Make the environment unless it is there and up to date; return its interpreter.

    Raises:
        SystemExit: status 3, with what pip said and what to try.
    """
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = venv / f"ready{'-' + extra if extra else ''}"
    wanted = digest()
    if _read(ready) == wanted:
        return python
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        with locked(venv.parent / f"{venv.name}.lock", lambda: _say("waiting for a set-up")):
            if _read(ready) != wanted:  # whoever held the lock may have done it
                _install(venv, python, extra)
                ready.write_text(wanted)
    except OSError as error:
        _fail(f"{venv} cannot be written: {error}", "name another folder with LMKIT_VENV=")
    return python


def digest() -> str:
    """What the environment depends on."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode()])).hexdigest()


def _install(venv: Path, python: Path, extra: str | None) -> None:
    if not python.exists():
        _say(f"making {venv.name} (once)")
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True
        )
        if made.returncode:
            _fail(
                f"python -m venv failed: {(made.stdout + made.stderr).strip()[-500:]}",
                "on Debian or Ubuntu: apt install python3-venv",
            )
    _say("installing the packages of constraints.txt (once; torch takes some minutes)")
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--timeout", PIP_SECONDS, "--retries", "1", "-c", "constraints.txt"]
    if not sys.stderr.isatty():
        command.append("--quiet")
    command += _requirements(python, extra)
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        _fail(
            "pip could not install the packages; its own words stand above",
            "check the network and run the command again (what was fetched is kept); behind a "
            "proxy set HTTPS_PROXY; without a network give a folder of wheels with "
            "PIP_FIND_LINKS=folder PIP_NO_INDEX=1",
        )


def _requirements(python: Path, extra: str | None) -> list[str]:
    """Read the dependencies of pyproject.toml, in the new environment, whose pip knows TOML."""
    script = textwrap.dedent(
        """
        import sys
        try:
            import tomllib
        except ImportError:
            from pip._vendor import tomli as tomllib
        project = tomllib.load(open("pyproject.toml", "rb"))["project"]
        extra = project["optional-dependencies"][sys.argv[1]] if sys.argv[1:] else []
        print("\\n".join(project["dependencies"] + extra))
        """
    )
    command = [str(python), "-c", script, *([extra] if extra else [])]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\n")[:-1]


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def _fail(seen: str, hint: str) -> None:
    print(f"set-up failed: {seen}\n  → {hint}", file=sys.stderr)
    sys.exit(3)
