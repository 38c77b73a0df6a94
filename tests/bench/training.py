"""`make bench-training`: speed of a training step by cell and output layer, and its memory.

Speeds are compared as ratios within one run: the ways take turns, and medians are printed. Memory
is the peak of a process of its own, less what the model alone takes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS, TIME, SIZE = 20, 70, 256  # the window of `quick`, and its features
VOCABULARIES = (1_000, 10_000, 33_278, 100_000)


def take_turns(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each way, one call of each a round, after a first one."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, medians: dict[str, float]) -> None:
    """Print tokens a second, and how many times the first way's they are."""
    print(f"\n{title}")
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        rate = ROWS * TIME / seconds
        print(f"  {name:34} {rate:9,.0f} tokens/s   {first / seconds:5.2f} x", flush=True)


def recurrences(rounds: int) -> None:
    """Compare the recurrence of a QRNN, as a scan and as a loop, with PyTorch's fused LSTM."""
    import torch
    from recurrent import QRNN, WeightDropoutGRU, WeightDropoutLSTM, qrnn

    def loop(f: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        states = []
        for t in range(f.size(1)):
            c = torch.addcmul(b[:, t], f[:, t], c)
            states.append(c)
        return torch.stack(states, dim=1)

    x = torch.randn(ROWS, TIME, SIZE)
    layers = {
        "LSTM": WeightDropoutLSTM(SIZE, SIZE),
        "GRU": WeightDropoutGRU(SIZE, SIZE),
        "QRNN, scan": QRNN(SIZE, SIZE, 1),
        "QRNN, loop": QRNN(SIZE, SIZE, 1),
    }
    scan = qrnn.linear_recurrence

    def step(name: str) -> None:
        qrnn.linear_recurrence = loop if name == "QRNN, loop" else scan
        layers[name](x)[0].sum().backward()

    ways = {name: (lambda name=name: step(name)) for name in layers}
    show("a layer of 256, forward and backward", take_turns(ways, rounds))
    f = torch.rand(ROWS, TIME, SIZE, requires_grad=True)
    b = torch.randn(ROWS, TIME, SIZE, requires_grad=True)
    c = torch.zeros(ROWS, SIZE)
    hidden = torch.nn.LSTM(SIZE, SIZE, batch_first=True)
    pools = {
        "LSTM, whole": lambda: hidden(x)[0].sum().backward(),
        "pooling alone, scan": lambda: scan(f, b, c).sum().backward(),
        "pooling alone, loop": lambda: loop(f, b, c).sum().backward(),
    }
    show("the recurrence alone, forward and backward", take_turns(pools, rounds))


def outputs(rounds: int, vocabulary: int = 33_278) -> None:
    """Compare the output layers on a window of `quick`."""
    import torch
    from softmax import make

    weight = torch.nn.Parameter(torch.randn(vocabulary, SIZE) / SIZE**0.5)
    hidden = torch.randn(ROWS * TIME, SIZE, requires_grad=True)
    # Zipf's law by rank, as words are: an adaptive softmax lives by it.
    shares = 1 / torch.arange(1, vocabulary + 1)
    targets = torch.multinomial(shares, ROWS * TIME, replacement=True)
    full = make("full", weight, SIZE, (), 0)
    adaptive = make("adaptive", weight, SIZE, (500, 4000, 12000), 0)
    sigmoid = make("sigsoftmax", weight, SIZE, (), 0)
    mixture = make("mixture", weight, SIZE, (), 3)
    ways = {
        "full, plain": lambda: full.nll(hidden, targets).mean().backward(),
        "full, in chunks": lambda: full.loss(hidden, targets).backward(),
        "adaptive": lambda: adaptive.loss(hidden, targets).backward(),
        "sigsoftmax, in chunks": lambda: sigmoid.loss(hidden, targets).backward(),
        "mixture of 3, in chunks": lambda: mixture.loss(hidden, targets).backward(),
    }
    show(f"output layers over {vocabulary:,} words", take_turns(ways, rounds))


def memory_of_a_step(way: str, vocabulary: int) -> float:
    """Return MiB that a training step's output layer takes beyond the weights, in this process."""
    import torch
    from softmax import make

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    weight = torch.nn.Parameter(torch.randn(vocabulary, SIZE))
    kind = "adaptive" if way == "adaptive" else "full"
    layer = make(kind, weight, SIZE, (500, 4000, 12000), 0)
    hidden = torch.randn(ROWS * TIME, SIZE, requires_grad=True)
    targets = torch.multinomial(1 / torch.arange(1, vocabulary + 1), ROWS * TIME, replacement=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = status("VmRSS")
    loss = layer.nll(hidden, targets).mean() if way == "plain" else layer.loss(hidden, targets)
    loss.backward()
    return status("VmHWM") - before


def memory() -> None:
    """Print the peak memory of an output layer's step by vocabulary, a process each."""
    print("\nMiB of a step's output layer beyond the weights, its gradient included")
    print(f"  {'words':>10}" + "".join(f"{way:>12}" for way in ("plain", "chunks", "adaptive")))
    for vocabulary in VOCABULARIES:
        row = []
        for way in ("plain", "chunks", "adaptive"):
            command = [sys.executable, "-m", "tests.bench.training"]
            command += ["--memory-of", way, "--vocabulary", str(vocabulary)]
            out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            row.append(json.loads(out.stdout))
        print(f"  {vocabulary:10,}" + "".join(f"{mib:12,.0f}" for mib in row), flush=True)


def main() -> int:
    """Measure and print; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-of", choices=["plain", "chunks", "adaptive"])
    parser.add_argument("--vocabulary", type=int, default=33_278)
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "solution"), str(ROOT / "handout")]
    if options.memory_of:
        print(json.dumps(memory_of_a_step(options.memory_of, options.vocabulary)))
        return 0
    import torch

    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    print(f"windows of {ROWS} x {TIME} tokens, {SIZE} features, medians of {options.rounds}")
    recurrences(options.rounds)
    outputs(options.rounds)
    if Path("/proc/self/clear_refs").exists():
        memory()
    return 0


if __name__ == "__main__":
    sys.exit(main())
