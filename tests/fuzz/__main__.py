"""`make fuzz`: the properties of the suite on as many fresh inputs as there is time for.

With atheris (the extra `fuzz`) inputs are grown by the code that they reach; without it Hypothesis
draws them, from a new seed every time. Exit status 1 where an input failed; it lies in runs/fuzz.
"""

import argparse
import importlib.util
import random
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

from hypothesis import HealthCheck, seed, settings

from .targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "runs" / "fuzz"
BATCH = 200  # examples between two looks at the clock


def main() -> int:
    """Fuzz all targets or one, or try one saved input again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="this one only")
    parser.add_argument("--input", type=Path, help="try this saved input on --target again")
    options = parser.parse_args()
    if options.input:
        if not options.target:
            parser.error("--input needs --target")
        TARGETS[options.target].run(options.input.read_bytes())
        print("it fails no more")
        return 0
    names = [options.target] if options.target else list(TARGETS)
    make = grow if has_atheris() else draw
    print("inputs are", "grown by atheris" if make is grow else "drawn by Hypothesis (no atheris)")
    failed = 0
    for name in names:
        (OUT / name).mkdir(parents=True, exist_ok=True)
        count, took, saved = make(name, options.seconds / len(names))
        found = f"FAILED, the input is in {saved}" if saved else "nothing found"
        rate = f"{count / max(took, 1e-9):7,.0f} a second"
        print(f"{name:20} {count:9,} inputs, {rate}: {found}", flush=True)
        failed += saved is not None
    return 1 if failed else 0


def has_atheris() -> bool:
    """Whether the extra `fuzz` is installed."""
    return importlib.util.find_spec("atheris") is not None


def draw(name: str, seconds: float) -> tuple[int, float, Path | None]:
    """Let Hypothesis draw inputs until the time is up.

    Returns:
        How many, the seconds that they took, and where what failed was saved, None if nothing did.
    """
    count, saved, started = 0, None, time.monotonic()
    many = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    while not saved and time.monotonic() < started + seconds:
        number = random.getrandbits(64)
        try:
            seed(number)(many(TARGETS[name].property()))()
        except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
            saved = OUT / name / f"seed-{number}.txt"
            saved.write_text(traceback.format_exc(), errors="backslashreplace")
        else:
            count += BATCH
    return count, time.monotonic() - started, saved


def grow(name: str, seconds: float) -> tuple[int, float, Path | None]:
    """Let atheris grow inputs in a process of its own, which it ends; returns what `draw` does."""
    before = set((OUT / name).iterdir())
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(max(1, round(seconds)))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    (OUT / name / "output.txt").write_text(ran.stdout + ran.stderr)
    done = re.search(r"Done (\d+) runs in (\d+) second", ran.stderr)
    new = [path for path in (OUT / name).iterdir() if path not in before]
    inputs = [path for path in new if path.name.startswith(("crash", "oom", "timeout", "leak"))]
    saved = inputs[0] if inputs else OUT / name / "output.txt" if ran.returncode else None
    return int(done[1]) if done else 0, float(done[2]) if done else seconds, saved


if __name__ == "__main__":
    sys.exit(main())
