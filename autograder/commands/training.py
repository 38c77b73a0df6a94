"""Training: the data, a submission, the solution and what it is used for."""

import argparse
import os
import subprocess
import sys

from ..environment import ROOT
from .hand_ins import HANDOUT, existing

# Commands that are rooms of the solution, with arguments of their own.
ROOMS = {
    "evaluate": (["evaluation"], "perplexity of the reference, with cache or dynamic evaluation"),
    "ladder": (["ladder"], "train models of growing power on the embedded corpus"),
    "transfer": (["transfer"], "transfer the reference to a classification task"),
    "study": (["study"], "train the reference with each technique off, one at a time"),
    "attention": (["evaluation.attention"], "draw what a Transformer's heads look at"),
    "find-lr": (["optim", "find-lr"], "find a learning rate for the reference"),
    "schedules": (["optim", "schedules"], "draw the learning-rate schedules"),
}

# A step takes and frees tensors of many MiB. glibc would hand each back to the system and have its
# pages cleared anew, a tenth of a step's time; so told, it keeps them. Others ignore this.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def run_data(options: argparse.Namespace, _: list[str]) -> int:
    """Get a corpus ready and say what it is."""
    from .. import corpus as corpora

    corpus, substitute = corpora.resolve(options.corpus)
    if substitute:
        print(substitute, file=sys.stderr)
    print(f"{corpus.name}: {len(corpus.vocab):,} words in the vocabulary")
    for name in corpora.SPLITS:
        split = corpus.split(name)
        print(f"  {name:5} {len(split.offsets) - 1:4} articles {len(split):10,} tokens")
    if options.export:
        corpora.export(corpus, options.export)
        print(f"the course's own files are in {options.export}")
    return 0


def run_train(options: argparse.Namespace, rest: list[str]) -> int:
    """Train in a process of its own, whose working folder is the kit's."""
    source = existing(options.submission)
    command = [sys.executable, str(HANDOUT / "train.py"), "--submission", str(source.resolve())]
    try:
        return subprocess.run([*command, *rest], env=KEEP_MEMORY | os.environ).returncode
    except KeyboardInterrupt:
        return 130  # the training has said what it has to say


def run_reference(options: argparse.Namespace, rest: list[str]) -> int:
    """Train the solution, with the paper's settings where there is a GPU for them."""
    import torch

    options.submission = ROOT / "solution"
    if "--preset" not in rest and torch.cuda.is_available():
        rest = [*rest, "--preset", "awd-lstm"]
    return run_train(options, rest)


def run_room(options: argparse.Namespace, rest: list[str]) -> int:
    """Run a room of the solution as a program, which finds its neighbours as a submission does."""
    (module, *arguments), _ = ROOMS[options.command]
    paths = [str(ROOT / "solution"), str(HANDOUT), str(ROOT)]
    environment = KEEP_MEMORY | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, *arguments, *rest]
    try:
        return subprocess.run(command, env=environment).returncode
    except KeyboardInterrupt:
        return 130
