"""Builds dist/: the students' zip, and what each platform is given.

Every archive is made from a list of what goes in, with fixed times and modes, so that the same
source gives the same bytes. Not covered: uploading any of it. Hidden fixtures go to the packages
whose platform keeps them from students, and to no other.
"""

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from . import corpus as corpora
from . import fixtures as drawn
from .environment import ROOT
from .faults import Fault
from .files import atomic_write

# Patterns below the kit's folder. What grades a hand-in, for students and platforms alike.
KIT = (
    *("pyproject.toml", "constraints.txt", "LICENSE"),
    *(f"autograder/{name}.py" for name in ("__init__", "__main__", "archive", "characters", "cli")),
    *(f"autograder/{name}.py" for name in ("corpus", "diagnosis", "download", "environment")),
    *(f"autograder/{name}.py" for name in ("exam", "judge")),
    *(f"autograder/{name}.py" for name in ("faults", "files", "fixtures", "grade", "hidden")),
    *(f"autograder/{name}.py" for name in ("result", "rubric", "run", "score", "submission")),
    *(f"autograder/{name}.py" for name in ("tar", "wikitext", "worker")),
    "autograder/commands/*.py",
    *("autograder/rubric.toml", "autograder/rubric.md"),
    *("autograder/checks/*.py", "autograder/sandbox/*.py", "autograder/sandbox/README.md"),
    *(f"autograder/flags/{name}.py" for name in ("__init__", "known", "learnt", "written")),
    *("autograder/report/*.py", "autograder/report/*.j2"),
    *("autograder/referee/__init__.py", "autograder/referee/model.py"),
    *("autograder/referee/numbers.safetensors", "autograder/referee/wikitext2.safetensors"),
    *("handout/ASSIGNMENT.md", "handout/training.ipynb"),
    *(f"handout/{name}.py" for name in ("data_loader", "language_model", "trainer", "inference")),
    *(f"handout/{name}.py" for name in ("regularization", "config", "train", "checkpoint")),
)
GRADER = (*KIT, "autograder/platforms/*.py")
TARGETS = ("help", "grade", "check", "train", "handin", "data", "clean")  # students' Makefile
HIDDEN = ("fixtures.json", "inputs.npz", "targets.npz")
ENTRY = ROOT / "autograder" / "platforms" / "entry"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say

Members = dict[str, tuple[bytes, int]]  # name: content and mode


def build(out: Path, corpus: str, fixtures: Path | None) -> str:
    """Write all packages below `out`; return what they hold and how to use them.

    Raises:
        Fault: a part is missing, the fixtures are of another corpus or public, or the students'
            zip would hold what is not for students.
    """
    hidden = hidden_fixtures(corpus, fixtures) if fixtures else {}
    graders = below("kit", collect(GRADER))
    secret = below("kit", {**collect(GRADER), **hidden})
    settings = (corpus, bool(hidden))
    packages = {
        "student.zip": zipped(below("lm-kit", student(hidden))),
        "gradescope.zip": zipped({**entry("gradescope", *settings), **secret}),
        "autolab/autograde.tar": tarred(secret),
        **files("autolab", entry("autolab", *settings)),
        "prairielearn/tests/kit.tar": tarred(secret),
        **files("prairielearn", entry("prairielearn", *settings)),
        **files("github", entry("github", corpus, False)),
        "classroom50/kit.tar": tarred(graders),
        **files("classroom50", entry("classroom50", corpus, False)),
    }
    # What PrairieLearn starts lies beside the kit.
    packages["prairielearn/tests/run.sh"] = packages.pop("prairielearn/run.sh")
    for name, content in packages.items():
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(content)
            if path.suffix == ".sh":
                path.chmod(0o755)
        except OSError as error:
            raise Fault(f"{path} cannot be written: {error}; name a folder with --out") from error
    return told(out, corpus, packages, bool(hidden))


def told(out: Path, corpus: str, packages: dict[str, bytes], hidden: bool) -> str:
    """Say what was built, and how each is used."""
    size = {name: f"{len(content) / 2**20:.1f} MiB" for name, content in packages.items()}
    lines = [
        f"{out}, for {corpus}:",
        f"  student.zip ({size['student.zip']}): handout, Makefile and what `make grade` needs. "
        "No solution, no hidden fixtures. Give it to students.",
        f"  gradescope.zip ({size['gradescope.zip']}): upload it under Configure Autograder, with "
        "the largest container.",
        f"  autolab/ ({size['autolab/autograde.tar']}): autograde-Makefile, which says what the "
        "image needs, and autograde.tar.",
        f"  prairielearn/ ({size['prairielearn/tests/kit.tar']}): build the Dockerfile, put tests/ "
        "into the question and info.json's lines into its own.",
        "  github/: grade.yml, a workflow for students' repositories; public fixtures only.",
        f"  classroom50/ ({size['classroom50/kit.tar']}): the two files of an assignment's bundle; "
        "public fixtures only.",
    ]
    lines.append(
        "WARNING: gradescope.zip, autolab/autograde.tar and prairielearn/tests/kit.tar hold the "
        "hidden fixtures. Give them to nobody, and put them into no repository that students read."
        if hidden
        else "All of them grade on the public fixtures, which is practice. For official grades: "
        "make fixtures SECRET_FILE=…, then make release ARGS='--fixtures data/hidden'."
    )
    return "\n".join(lines)


def collect(patterns: Iterable[str], root: Path = ROOT) -> Members:
    """Read the files that patterns name, by their names below `root`.

    Raises:
        Fault: a pattern names none, or a link.
    """
    members: Members = {}
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if not found or any(path.is_symlink() for path in found):
            raise Fault(f"{root / pattern} is not there, or a link: the kit is not whole")
        members |= {path.relative_to(root).as_posix(): (path.read_bytes(), 0o644) for path in found}
    return members


def student(hidden: Members, root: Path = ROOT) -> Members:
    """Return what students get.

    Raises:
        Fault: a file of theirs is one of the solution's or of the hidden fixtures': somebody worked
            in handout/.
    """
    members = {**collect(KIT, root), "Makefile": (makefile((root / "Makefile").read_text()), 0o644)}
    # Files of a few bytes may be alike by right.
    kept = [path.read_bytes() for path in (root / "solution").rglob("*") if path.is_file()]
    kept += [content for content, _ in hidden.values()]
    secret = {hashlib.sha256(content).digest() for content in kept if len(content) > 64}
    for name, (content, _) in members.items():
        if hashlib.sha256(content).digest() in secret:
            raise Fault(f"{name} is not for students: it is a file of the solution's or hidden")
    return members


def makefile(text: str) -> bytes:
    """Keep the targets of a Makefile that are for students."""
    text = re.sub(r"^(ROOMS = .*\n|\.PHONY: (.*\\\n)*.*\n)", "", text, flags=re.MULTILINE)
    head, *blocks = text.rstrip("\n").split("\n\n")
    rules = [re.match(r"([a-z-]+):(?!=)", block) for block in blocks]
    pairs = zip(blocks, rules, strict=True)
    kept = [block for block, rule in pairs if rule is None or rule[1] in TARGETS]
    return "\n\n".join([head, *kept, f".PHONY: {' '.join(TARGETS)}"]).encode() + b"\n"


def hidden_fixtures(corpus: str, folder: Path) -> Members:
    """Read hidden fixtures and see that they are what they should be."""
    found = drawn.load(folder)
    if found.public or found.corpus != corpora.load(corpus).digest:
        raise Fault(f"{folder} holds public fixtures, or those of another corpus than {corpus}")
    members = collect(HIDDEN, folder)
    return {f"hidden/{name}": (content, 0o600) for name, (content, _) in members.items()}


def entry(platform: str, corpus: str, hidden: bool) -> Members:
    """Read a platform's own scripts and set their two variables."""
    members: Members = {}
    for path in sorted(ENTRY.joinpath(platform).iterdir()):
        if path.is_dir():
            continue
        text = re.sub(
            r"^((?:ARG )?CORPUS=|\s+CORPUS: |CORPUS = \")wikitext2",
            rf"\g<1>{corpus}",
            path.read_text(),
            flags=re.MULTILINE,
        )
        if hidden:
            text = re.sub(r"^FIXTURES=$", "FIXTURES=--fixtures=hidden", text, flags=re.MULTILINE)
        script = text.startswith("#!")
        members[path.name] = (text.encode(), 0o755 if script else 0o644)
    return members


def below(folder: str, members: Members) -> Members:
    """Return the members one folder down."""
    return {f"{folder}/{name}": member for name, member in members.items()}


def files(folder: str, members: Members) -> dict[str, bytes]:
    """Return members as files of a folder."""
    return {f"{folder}/{name}": content for name, (content, _) in members.items()}


def zipped(members: Members) -> bytes:
    """Return a zip, whose bytes depend on the members only."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, (content, mode) in sorted(members.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3  # Unix, whose modes these are
            info.external_attr = (0o100000 | mode) << 16
            # Weights hardly get smaller.
            small = not name.endswith(".safetensors")
            info.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(info, content)
    return packed.getvalue()


def tarred(members: Members) -> bytes:
    """Return a tar, whose bytes depend on the members only."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
