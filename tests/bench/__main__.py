"""`make bench`: times and memory of the commands that people wait for, against their bounds.

Medians of several rounds, as whole processes after set-up. Nothing here runs in the test suite,
because a busy machine would fail it. Exit status 1 where a bound is broken.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20

# (what, arguments, seconds at most, MiB at most); bounds of two ordinary CPU cores.
COMMANDS = [
    ("make check SUBMISSION=solution", ["check", "solution"], 10, 2048),
    ("make grade SUBMISSION=solution", ["grade", "solution", "--corpus", "wikitext2"], 60, 2048),
]


def tree_memory(pid: int) -> int:
    """Resident bytes of a process and all below it; 0 where /proc does not say."""
    total, todo = 0, [pid]
    while todo:
        current = todo.pop()
        try:
            pages = Path(f"/proc/{current}/statm").read_text().split()[1]
            for thread in Path(f"/proc/{current}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
        except (OSError, IndexError):
            continue
        total += int(pages) * os.sysconf("SC_PAGE_SIZE")
    return total


def measure(arguments: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Run one command; return its seconds and the peak of its tree's memory in bytes."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "autograder", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.monotonic() - started
    over.set()
    watcher.join()
    if status:
        sys.exit(f"{' '.join(arguments)} ended with status {status}")
    return seconds, peak


def corpus_seconds(data: str) -> tuple[float, float]:
    """Return the seconds to encode WikiText-2 and to load it from the cache."""
    script = (
        "import time; from autograder import corpus\n"
        "for _ in range(2):\n"
        "    t = time.perf_counter(); corpus.load('wikitext2', progress=False)\n"
        "    print(time.perf_counter() - t)"
    )
    environment = {**os.environ, "LMKIT_DATA": data}
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if out.returncode:
        sys.exit(f"WikiText-2 cannot be loaded; give it with WIKITEXT2=\n{out.stderr[-500:]}")
    encode, load = map(float, out.stdout.split())
    return encode, load


def main() -> int:
    """Measure everything and print a table; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    broken = False

    def row(what: str, value: float, bound: float, unit: str) -> None:
        nonlocal broken
        broken |= value > bound
        mark = "BROKEN" if value > bound else "ok"
        print(f"{what:58} {value:9.2f} {unit:4} at most {bound:5} {mark}", flush=True)

    if os.environ.get("WIKITEXT2"):
        runs = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as data:
                runs.append(corpus_seconds(data))
        row("encode WikiText-2", statistics.median(r[0] for r in runs), 15, "s")
        row("load it from the cache", statistics.median(r[1] for r in runs), 0.5, "s")
    else:
        print("encoding is measured with WIKITEXT2= only")
    environment = {**os.environ, "LMKIT_VENV": "none"}
    with tempfile.TemporaryDirectory() as out:
        for what, arguments, seconds, memory in COMMANDS:
            if arguments[0] == "grade":
                arguments = [*arguments, "--out", out]
                measure(arguments, environment)  # draws the public fixtures, once
            runs = [measure(arguments, environment) for _ in range(rounds)]
            row(what, statistics.median(r[0] for r in runs), seconds, "s")
            row(f"{what}, memory", statistics.median(r[1] for r in runs) / MIB, memory, "MiB")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
