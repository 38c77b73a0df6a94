"""One target under atheris, which ends the process: `python -m tests.fuzz.guided NAME SECONDS`."""

import random
import sys
from pathlib import Path

import atheris

OUT = Path(__file__).resolve().parents[2] / "runs" / "fuzz"


def main() -> None:
    """Fuzz, from the target's valid inputs and from what earlier runs kept."""
    name, seconds = sys.argv[1:]
    with atheris.instrument_imports(include=["autograder", "zipfile"]):
        from .targets import TARGETS
    target, folder = TARGETS[name], OUT / name
    kept = folder / "corpus"
    kept.mkdir(parents=True, exist_ok=True)
    # Bytes that decide what Hypothesis draws have to be many enough for a whole example.
    for i, start in enumerate(target.seeds or [random.Random(i).randbytes(2048) for i in range(8)]):
        (kept / f"seed{i}").write_bytes(start)
    options = [f"-max_total_time={seconds}", "-len_control=0", "-max_len=65536"]
    options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=4096", "-timeout=60"]
    atheris.Setup([sys.argv[0], str(kept), *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
