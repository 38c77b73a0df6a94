"""Given code: trains a submission, from the command line or a notebook.

    python handout/train.py --submission handout --lr 0.002 --epochs 3

It wires the four classes together, shows progress, draws the curve, prints what the model writes,
and saves. After an interrupt the same command goes on where the last whole epoch ended.
Every field of `config.Config` is a flag.
"""

import argparse
import dataclasses
import importlib
import inspect
import json
import math
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HANDOUT = Path(__file__).resolve().parent
ROOT = HANDOUT.parent
PROMPT = 20
CONTINUATION = 10


def parse(argv: list[str]) -> tuple[argparse.Namespace, dict[str, Any], dict[str, Any]]:
    """Read the command line; return general options, settings that were given, and presets."""
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--submission", type=Path, default=HANDOUT, help="folder to train")
    known, _ = first.parse_known_args(argv)
    if not known.submission.is_dir():
        first.error(f"--submission {known.submission}: there is no such folder")
    prefer(known.submission.resolve())
    config_module = importlib.import_module("config")
    presets = getattr(config_module, "PRESETS", {"default": config_module.Config()})
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        parents=[first],
    )
    parser.add_argument("--corpus", default="auto", choices=["auto", "wikitext2", "numbers"])
    parser.add_argument("--preset", choices=list(presets), help="default: by the corpus")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument(
        "--run-id", default=None, help="name of the run (default: SUBMISSION-CORPUS)"
    )
    parser.add_argument("--fresh", action="store_true", help="begin again, do not resume")
    parser.add_argument(
        "--evaluate", action="store_true", help="only validate the weights that were saved"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    group = parser.add_argument_group("settings, instead of the preset's (see config.py)")
    for field in dataclasses.fields(config_module.Config):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=reader(field.default),
            default=None,
            metavar="N,N" if isinstance(field.default, tuple) else None,
        )
    options = parser.parse_args(argv)
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(config_module.Config)
        if getattr(options, field.name) is not None
    }
    return options, given, presets


def prefer(folder: Path) -> None:
    """Make imports take the submission's modules first, then the given ones, then the kit's."""
    for path in (str(ROOT), str(HANDOUT), str(folder)):
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


def reader(default: Any) -> Callable[[str], Any]:
    """Return a function that reads a flag's text as a value of the default's type."""
    if isinstance(default, bool):
        return lambda text: {"true": True, "false": False}[text.lower()]
    if isinstance(default, tuple):
        return lambda text: tuple(int(part) for part in text.split(",") if part)
    return type(default)


def pick_device(name: str) -> torch.device:
    """Return the named device; "auto" takes an NVIDIA GPU, an Apple GPU or the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def accepted(function: Callable, **extras: Any) -> dict[str, Any]:
    """Return those keyword arguments that a submission's function has parameters for."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return extras
    return {name: value for name, value in extras.items() if name in parameters}


class Monitored:
    """A loader that shows how far its epoch is; everything else is the loader's own."""

    def __init__(self, loader: Any, tokens: int, report: Callable[[int, int], None]) -> None:
        self._loader, self._tokens, self._report = loader, tokens, report

    def __iter__(self) -> Iterator[Any]:
        done = 0
        for inputs, targets in self._loader:
            yield inputs, targets
            done += targets.numel()
            self._report(done, self._tokens)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Display:
    """Progress of an epoch: tokens a second, time left, loss so far."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True)
        self.epochs = epochs
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Start an epoch's clock and mean."""
        self.epoch, self.started, self.shown = epoch, time.monotonic(), time.monotonic()
        self.total, self.steps = 0.0, 0

    def loss(self, value: Any) -> None:
        """Take a step's loss in, if it is a number."""
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, int | float) and math.isfinite(value):
            self.total += value
            self.steps += 1

    @property
    def mean(self) -> float:
        """Mean loss of the epoch so far, NaN where no loss was returned."""
        return self.total / self.steps if self.steps else math.nan

    def step(self, done: int, tokens: int) -> None:
        """Show how far the epoch is: often on a terminal, once a minute in a log."""
        now = time.monotonic()
        if now - self.shown < (0.5 if self.console.is_terminal else 60):
            return
        self.shown = now
        speed = done / (now - self.started)
        left = max(0, tokens - done) / speed
        line = (
            f"epoch {self.epoch}/{self.epochs}  {min(done / tokens, 1):4.0%}  "
            f"{speed:,.0f} tokens/s  {clock(left)} left  train NLL {self.mean:.3f}"
        )
        self.console.print(line, end="\r" if self.console.is_terminal else "\n")


def clock(seconds: float) -> str:
    """Return seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def draw(history: list[dict[str, float]], path: Path) -> None:
    """Save the curve of train and validation NLL over epochs as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in history]
    for key, style in (("train", "o--"), ("valid", "o-")):
        axes.plot(epochs, [row[key] for row in history], style, label=key)
    axes.set(xlabel="epoch", ylabel="NLL (nats a word)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    replace_with(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def replace_with(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, then put it in its place at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def samples(inference: Any, model: Any, corpus: Any, count: int = 3) -> list[str]:
    """Continue the beginnings of a few validation articles; a line a sample."""
    articles = [a for a in corpus.valid.articles() if len(a) >= PROMPT]
    prompts = np.stack([a[:PROMPT] for a in articles[:count]])
    try:
        words = inference.TestLanguageModel.generation(
            torch.from_numpy(prompts), CONTINUATION, model
        )
        words = np.asarray(words.cpu() if isinstance(words, torch.Tensor) else words)
        pairs = zip(prompts, words, strict=True)
        return [f"… {corpus.words(p[-8:])} ▸ {corpus.words(w)}" for p, w in pairs]
    except NotImplementedError:
        return ["(samples appear here once TestLanguageModel.generation is written)"]


def choose(presets: dict[str, Any], name: str | None, corpus: str, given: dict[str, Any]) -> Any:
    """Return the Config of a run: the named preset, or the corpus's own, or the first one."""
    name = name or (corpus if corpus in presets else next(iter(presets)))
    return dataclasses.replace(presets[name], **given)


def train(options: argparse.Namespace, corpus: Any, config: Any) -> list[dict[str, float]]:
    """Run the training; return a row an epoch: epoch, train, valid (NLL), seconds."""
    checkpoint = importlib.import_module("checkpoint")
    loaders, models = (
        importlib.import_module("data_loader"),
        importlib.import_module("language_model"),
    )
    trainers, inference = importlib.import_module("trainer"), importlib.import_module("inference")
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(config.seed)
    display = Display(config.epochs)
    say = display.console.print
    device = pick_device(options.device)
    settings = checkpoint.model_settings(models.LanguageModel, config)
    vocab = len(corpus.vocab)
    model = models.LanguageModel(vocab, **settings).to(device)
    make = loaders.LanguageModelDataLoader
    windows = accepted(make, bptt=config.bptt)
    articles = corpus.train.articles()
    loader = make(articles, config.batch_size, shuffle=True, **windows)
    valid = make(corpus.valid.articles(), config.batch_size, shuffle=False, **windows)
    run_id = options.run_id or f"{options.submission.resolve().name}-{corpus.name}"
    trainer_class = trainers.LanguageModelTrainer
    trainer = trainer_class(
        model,
        Monitored(loader, sum(map(len, articles)), display.step),
        max_epochs=config.epochs,
        run_id=run_id,
        **accepted(trainer_class, valid_loader=valid, config=config),
    )
    train_batch = trainer.train_batch

    def recorded(*batch: Any) -> Any:
        loss = train_batch(*batch)
        display.loss(loss)
        return loss

    trainer.train_batch = recorded
    folder = Path("runs/train") / run_id
    state = folder / "state.safetensors"
    suffix = "" if corpus.name == "wikitext2" else f".{corpus.name}"
    weights = options.submission / f"checkpoint{suffix}.safetensors"
    count = sum(p.numel() for p in model.parameters())
    if options.evaluate:
        trainer.model = checkpoint.load(weights, models.LanguageModel, vocab).to(device)
        say(f"{weights}: valid NLL {float(trainer.test()):.4f}")
        return []
    history = resume(checkpoint, state, trainer, config, options.fresh)
    say(
        f"{run_id}: {count / 1e6:.1f}M parameters on {device}, {corpus.name} "
        f"({len(corpus.train):,} words), {config.epochs} epochs; files in {folder}"
    )
    if len(history) >= config.epochs:
        say("this run is finished: --epochs N goes on, --fresh begins again (say, with new code)")
    elif history:
        say(f"going on after epoch {len(history)} (--fresh begins again)")
    for epoch in range(len(history) + 1, config.epochs + 1):
        display.begin(epoch)
        loss = trainer.train()
        seconds = time.monotonic() - display.started
        nll = trainer.test()
        loss, nll = (float(v) if v is not None else math.nan for v in (loss, nll))
        loss = display.mean if math.isnan(loss) else loss
        best = min((row["valid"] for row in history), default=math.inf)
        history.append({"epoch": epoch, "train": loss, "valid": nll, "seconds": seconds})
        say(
            f"epoch {epoch}/{config.epochs}  train NLL {loss:.4f}  valid NLL {nll:.4f}  "
            f"(perplexity {math.exp(min(nll, 50)):.1f})  {clock(seconds)}"
        )
        for line in samples(inference, model, corpus):
            say(f"    {line}", markup=False)
        if not nll >= best:
            written = trainer.save()
            if written is not None and Path(written).is_file():
                keep(Path(written), weights, say)
        finish_epoch(checkpoint, folder, state, trainer, config, history)
    say(f"best valid NLL {min(row['valid'] for row in history):.4f}; weights in {weights}")
    return history


def resume(
    checkpoint: Any, state: Path, trainer: Any, config: Any, fresh: bool
) -> list[dict[str, float]]:
    """Load the state of an earlier call of the same run, if there is one; return its history.

    Raises:
        SystemExit: a state is there, but from a run with other settings or other code.
    """
    if fresh or not state.exists():
        return []
    extra = checkpoint.read_extra(state)
    now, then = dataclasses.asdict(config), extra["config"]
    other = [
        f"{name} was {then.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if name != "epochs" and then.get(name) != value
    ]
    if other:
        sys.exit(
            f"{state} is from a run with other settings: {'; '.join(other)}.\n"
            "Begin again with --fresh, or give this run a name of its own with --run-id."
        )
    try:
        return checkpoint.load_state(state, trainer)["history"]
    except (RuntimeError, KeyError, ValueError) as error:
        sys.exit(
            f"{state} does not fit this code ({error}).\nWhere the model or the trainer was "
            "changed since, begin again with --fresh."
        )


def finish_epoch(
    checkpoint: Any, folder: Path, state: Path, trainer: Any, config: Any, history: list[dict]
) -> None:
    """Write an epoch's files: the metrics, the picture, and last the state to resume from."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in history)
    replace_with(folder / "metrics.jsonl", lambda temporary: temporary.write_text(lines))
    draw(history, folder / "curve.png")
    extra = {"history": history, "config": dataclasses.asdict(config)}
    checkpoint.save_state(state, trainer, extra)


def keep(written: Path, weights: Path, say: Callable[..., None]) -> None:
    """Copy the best weights into the submission, where they are handed in from."""
    try:
        replace_with(weights, lambda temporary: shutil.copyfile(written, temporary))
    except OSError as error:
        say(f"the weights stay in {written}: {weights} cannot be written ({error})", markup=False)


def main(argv: list[str] | None = None) -> int:
    """Train; return an exit status."""
    options, given, presets = parse(sys.argv[1:] if argv is None else argv)
    from autograder import corpus as corpora

    try:
        corpus, substitute = corpora.resolve(options.corpus)
        if substitute:
            print(f"{substitute}\nPractising on the embedded corpus `numbers` instead.\n")
        train(options, corpus, choose(presets, options.preset, corpus.name, given))
    except corpora.CorpusError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on after the last whole epoch", file=sys.stderr)
        return 130
    except NotImplementedError as error:
        print(f"not written yet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
