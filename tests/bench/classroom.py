"""`make bench-class`: what a class costs beyond the forward passes that it cannot do without.

Distinct copies of the solution are graded by `grade-class`; beside it, in one warm process with one
thread, as many models are loaded and do their forward passes: the prediction of all prefixes and
the generation after all prompts. Prints the ratio of wall times, the memory of the whole at several
sizes of class, and, from what one hand-in costs, a schedule for classes too large to be tried.
"""

import argparse
import heapq
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .__main__ import ROOT, measure

PARTS = ("recurrent", "softmax", "optim", "evaluation")
MIB = 2**20
WEIGHTS = {
    "wikitext2": "checkpoint.safetensors",
    "numbers": "checkpoint.numbers.safetensors",
}
FORWARD = """
import os, sys, time
sys.path[:0] = sys.argv[2:4]
import numpy as np, torch
torch.set_num_threads({threads})
from autograder import corpus, fixtures, referee
from autograder.flags import known
from pathlib import Path
import safetensors, safetensors.torch, json
from inference import TestLanguageModel
from language_model import LanguageModel
name, count = sys.argv[1], int(sys.argv[4])
text = corpus.load(name)
drawn = fixtures.load(Path(sys.argv[5]))
weights = Path(sys.argv[6])
with safetensors.safe_open(str(weights), "pt") as file:
    settings = json.loads((file.metadata() or {{}}).get("settings", "{{}}"))
block = known.draw(text, drawn, referee.load(name))
prefixes = block.mixed(drawn.prediction, block.prediction)

def one():
    model = LanguageModel(len(text.vocab), **settings)
    safetensors.torch.load_model(model, str(weights))
    model.eval()
    for i in range(0, len(prefixes), 64):
        TestLanguageModel.prediction(prefixes[i : i + 64], model)
    TestLanguageModel.generation(drawn.generation, 10, model)

one()
print("warm", flush=True)
sys.stdin.readline()
started = time.perf_counter()
for _ in range(count):
    one()
print(time.perf_counter() - started)
"""


def copies(folder: Path, corpus: str, count: int) -> Path:
    """Write distinct hand-ins."""
    folder.mkdir(parents=True)
    once = folder.parent / "weights"
    shutil.copy(ROOT / "solution" / WEIGHTS[corpus], once)
    for number in range(count):
        place = folder / f"student-{number:05d}"
        place.mkdir(parents=True)
        for path in (ROOT / "solution").glob("*.py"):
            shutil.copy(path, place)
        for part in PARTS:
            shutil.copytree(ROOT / "solution" / part, place / part)
        os.link(once, place / WEIGHTS[corpus])  # 300 of WikiText-2's would fill 6 GB
        with (place / "trainer.py").open("a") as file:
            file.write(f"# {number}\n")
    return folder


def forward_passes(corpus: str, fixtures: Path, count: int, threads: int) -> float:
    """Return the seconds that the forward passes of so many hand-ins take in one warm process."""
    command = [sys.executable, "-c", FORWARD.format(threads=threads), corpus]
    command += [str(ROOT / "solution"), str(ROOT), str(count), str(fixtures)]
    command.append(str(ROOT / "solution" / WEIGHTS[corpus]))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "warm\n"
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())


def grade_class(folder: Path, corpus: str, fixtures: Path, workers: int) -> tuple[float, int]:
    """Return the seconds of the whole command and the peak of its memory in bytes."""
    with tempfile.TemporaryDirectory() as out:
        arguments = ["grade-class", str(folder), "--corpus", corpus, "--fixtures", str(fixtures)]
        arguments += ["--out", out, "--workers", str(workers)]
        environment = {**os.environ, "LMKIT_VENV": "none", "PYTHONPATH": str(ROOT)}
        seconds, peak = measure(arguments, environment)
        lines = (Path(out) / "ledger.jsonl").read_text().splitlines()
        results = [json.loads(line)["result"] for line in lines]
        scores = {sum(check["score"] for check in result["checks"]) for result in results}
        if len(lines) != len(list(folder.iterdir())) or len(scores) != 1:
            sys.exit(f"{len(lines)} results with scores {sorted(scores)}")
    return seconds, peak


def simulated(each: float, start: float, count: int, workers: int, shard: int = 8) -> float:
    """Return the seconds until the last of `count` is graded, shards going to who is free first."""
    free = [start] * workers
    sizes = itertools.chain([shard] * (count // shard), [count % shard] if count % shard else [])
    for size in sizes:
        heapq.heappush(free, heapq.heappop(free) + size * each)
    return max(free)


def main() -> int:
    """Measure and print; return an exit status."""
    parser = argparse.ArgumentParser(prog="make bench-class", description=__doc__)
    parser.add_argument("--hand-ins", type=int, default=300)
    parser.add_argument("--corpus", choices=("wikitext2", "numbers"), default="wikitext2")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    count, workers = options.hand_ins, options.workers
    with tempfile.TemporaryDirectory() as made:
        hidden = Path(made) / "hidden"
        subprocess.run(
            [
                *(sys.executable, "-m", "autograder", "fixtures", "--corpus", options.corpus),
                *("--secret", "bench", "--out", str(hidden)),
            ],
            cwd=ROOT,
            env={**os.environ, "LMKIT_VENV": "none"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        rows = []
        for size in (count // 4, count):
            folder = copies(Path(made) / f"{size}" / "class", options.corpus, size)
            alone = forward_passes(options.corpus, hidden, size, 1)
            seconds, peak = grade_class(folder, options.corpus, hidden, workers)
            rows.append((size, seconds, peak))
            print(
                f"{size} hand-ins on {workers} workers: {seconds:.0f} s; their forward passes in "
                f"one warm process: {alone:.0f} s; ratio {seconds / alone:.2f} (at most 1.25); "
                f"{3600 * size / seconds:.0f} hand-ins an hour; peak memory {peak / MIB:.0f} MiB",
                flush=True,
            )
            ratio = seconds / alone
        (few, first, _), (many, second, _) = rows
        each = (second - first) / (many - few) * workers
        start = max(0.0, second - each * many / workers)
        print(f"one hand-in: {each:.2f} s of a worker; start and end: {start:.0f} s")
        for size, machines in ((3000, 1), (3000, 10), (100_000, 10), (100_000, 100)):
            hours = simulated(each, start, size, machines * workers) / 3600
            print(f"simulated: {size:,} hand-ins on {machines} × {workers} workers: {hours:.2f} h")
    return int(ratio > 1.25)


if __name__ == "__main__":
    sys.exit(main())
