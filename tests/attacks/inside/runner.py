"""The grader of a world: stays warm, grades what it is asked to, and looks what an attack left.

Started by `world.py` as `runner.py DESK TIER [forked]`. Reads requests as lines of JSON:
`{"name": a folder or archive in hand-ins/, "seconds": limits of steps}`; calls the `grade` command
in this very process, which holds a canary in its environment, its memory and a descriptor; answers
with a line: the exit status, what was printed, the result and the findings of `scene.py`.
"""

import contextlib
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

# `python -I` looks for nothing beside the script.
sys.path[:0] = [f"{sys.argv[1]}/kit", f"{sys.argv[1]}/runner"]

from scene import Baits, Scene  # noqa: E402

from autograder import checks, cli, sandbox  # noqa: E402
from autograder import grade as grading  # noqa: E402
from autograder.result import Result  # noqa: E402
from autograder.sandbox import canary  # noqa: E402
from autograder.sandbox.warm import ForkServer  # noqa: E402

DESK, TIER = Path(sys.argv[1]), sys.argv[2]
WRITTEN: dict[Path, str] = {}  # what the grader itself has written


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    watch_results()
    try_a_sandbox_once()
    if sys.argv[3:]:
        fork_workers()
    with Baits(DESK) as baits:
        scene = Scene(DESK, baits)
        print(json.dumps(baits.told), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), scene)), file=answers, flush=True)


def answer(request: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """Grade a hand-in; look before and after."""
    out = DESK / "out" / f"{len(WRITTEN)}"
    source = DESK / "hand-ins" / request["name"]
    scene.before(out, source)
    started = time.monotonic()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            with limited(request["seconds"]):
                status = cli.main(command(source, out))
        except (Exception, SystemExit):  # noqa: BLE001 - that it can be made to fail is a finding
            traceback.print_exc()
            status = -1
    took = time.monotonic() - started
    findings = scene.after(said.getvalue())
    findings += [
        f"results: {path} is not what the grader wrote"
        for path, text in WRITTEN.items()
        if not path.is_file() or path.read_text() != text
    ]
    result = WRITTEN.get(out / "results.json")
    return {
        "status": status,
        "said": said.getvalue(),
        "took": took,
        "findings": findings,
        "result": json.loads(result) if result else None,
    }


def command(source: Path, out: Path) -> list[str]:
    """Return the arguments of the command."""
    given = ["grade", str(source), "--corpus", "numbers", "--fixtures", str(DESK / "hidden")]
    given += ["--out", str(out), "--sandbox", TIER]
    return [*given, "--practice"] if TIER in ("T4", "T5") else given


@contextlib.contextmanager
def limited(seconds: dict[str, float]) -> Iterator[None]:
    """Give some steps other time limits for the length of a `with` block."""
    places = [(room, "STEPS") for room in (*checks.ROOMS, checks.regularization)]
    places += [(grading, "GRADED")]
    saved = [getattr(place, name) for place, name in places]
    try:
        for (place, name), steps in zip(places, saved, strict=True):
            changed = [replace(s, seconds=seconds.get(s.id, s.seconds)) for s in steps]
            setattr(place, name, changed)
        yield
    finally:
        for (place, name), steps in zip(places, saved, strict=True):
            setattr(place, name, steps)


def watch_results() -> None:
    """Keep the text of each result that is written."""
    write = Result.write

    def watched(self: Result, path: Path) -> None:
        write(self, path)
        WRITTEN[path] = self.to_json()

    Result.write = watched


def try_a_sandbox_once() -> None:
    """Have the canary try each tier once: it takes a tenth of the time of a grading."""
    findings = canary.findings
    boxes: dict[str, Any] = {}

    @cache
    def once(kind: tuple) -> list[str]:
        return findings(boxes[kind])

    def remembered(box: Any) -> list[str]:
        kind = box.tier, getattr(box, "forks", None)
        boxes[kind] = box
        return once(kind)

    canary.findings = remembered


def fork_workers() -> None:
    """Have the command fork its workers, as the grading of a class does; start what forks them."""
    choose, forks = sandbox.choose, ForkServer()
    sandbox.choose = partial(choose, forks=forks)
    chosen = sandbox.choose(TIER)
    assert chosen.forks is forks, "forks do not hold here"


if __name__ == "__main__":
    main()
