"""Given code: trains a submission, from the command line or a notebook.

    python handout/train.py --submission handout --lr 0.002 --epochs 3

It wires the four classes together, shows progress, draws the curve, prints what the model writes,
and saves. After an interrupt the same command goes on where the last whole epoch ended.
Every field of `config.Config` is a flag. With a trainer that says `distributed = True`, several
GPUs share each batch:

    torchrun --nproc-per-node 2 handout/train.py --submission solution
"""

import argparse
import dataclasses
import gc
import importlib
import inspect
import json
import math
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    parser.add_argument(
        "--level", default="word", choices=["word", "character"], help="what a token is"
    )
    parser.add_argument("--preset", choices=list(presets), help="default: by the corpus")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument(
        "--run-id", default=None, help="name of the run (default: SUBMISSION-CORPUS)"
    )
    parser.add_argument(
        "--start", type=Path, metavar="WEIGHTS", help="begin from these weights (fine-tuning)"
    )
    parser.add_argument("--fresh", action="store_true", help="begin again, do not resume")
    parser.add_argument(
        "--no-copy", action="store_true", help="leave the submission's own weights as they are"
    )
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

    def __init__(self, epochs: int, quiet: bool = False) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        self.epochs = epochs
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Start an epoch's clock and mean."""
        self.epoch, self.started, self.shown = epoch, time.monotonic(), time.monotonic()
        self.total, self.losses, self.steps = 0.0, 0, 0

    def loss(self, value: float) -> None:
        """Take a step's loss in."""
        self.total += value
        self.losses += 1

    @property
    def mean(self) -> float:
        """Mean loss of the epoch so far, NaN where no loss was returned."""
        return self.total / self.losses if self.losses else math.nan

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


class StepLog:
    """`steps.jsonl`: a line a step, with loss, learning rate and time.

    Args:
        path: the file.
        trainer: its `optimizer`, where it has one, tells the learning rate.
        epochs: whole epochs of it that a resumed run keeps.
    """

    def __init__(self, path: Path, trainer: Any, epochs: int) -> None:
        self.trainer = trainer
        kept = [line for line in _lines(path) if line["epoch"] <= epochs]
        self.step = kept[-1]["step"] if kept else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in kept)
        replace_with(path, lambda temporary: temporary.write_text(text))
        self._file = open(path, "a")  # noqa: SIM115 - open as long as the run

    def write(self, epoch: int, tokens: int, loss: float | None, seconds: float) -> None:
        """Append a step; a loss of None is one that `train_batch` did not return."""
        self.step += 1
        row = {"step": self.step, "epoch": epoch, "tokens": tokens, "loss": loss}
        row |= {"lr": self.learning_rate(), "seconds": round(seconds, 4)}
        self._file.write(json.dumps(row) + "\n")

    def learning_rate(self) -> float | None:
        """Return the learning rate of the last step, None where the trainer hides it."""
        groups = getattr(getattr(self.trainer, "optimizer", None), "param_groups", None)
        return float(groups[0]["lr"]) if groups else None

    def flush(self) -> None:
        """Put what was written on disk."""
        self._file.flush()

    def close(self) -> None:
        """Write the rest and close the file."""
        self._file.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of a JSON object a line, up to one that an interrupt cut short."""
    rows = []
    try:
        for line in path.read_text().splitlines():
            rows.append(json.loads(line))
    except (FileNotFoundError, ValueError):
        pass
    return rows


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
    by_letter = not corpus.separator
    shown, forward = (PROMPT, 5 * CONTINUATION) if by_letter else (8, CONTINUATION)
    articles = [a for a in corpus.valid.articles() if len(a) >= PROMPT]
    prompts = np.stack([a[:PROMPT] for a in articles[:count]])
    try:
        words = inference.TestLanguageModel.generation(torch.from_numpy(prompts), forward, model)
        words = np.asarray(words.cpu() if isinstance(words, torch.Tensor) else words)
        pairs = zip(prompts, words, strict=True)
        return [f"… {_line(corpus, p[-shown:])} ▸ {_line(corpus, w)}" for p, w in pairs]
    except NotImplementedError:
        return ["(samples appear here once TestLanguageModel.generation is written)"]


def _line(corpus: Any, ids: np.ndarray) -> str:
    return corpus.words(ids).replace("\n", "↵")


def choose(presets: dict[str, Any], name: str | None, corpus: str, given: dict[str, Any]) -> Any:
    """Return the Config of a run: the named preset, or the corpus's own, or the first one."""
    name = name or (corpus if corpus in presets else next(iter(presets)))
    return dataclasses.replace(presets[name], **given)


@contextmanager
def process_group(device: torch.device) -> Iterator[int]:
    """Join the processes that torchrun started, if it did; give this one's rank."""
    if "RANK" not in os.environ:
        yield 0
        return
    # The group's threads must end before the interpreter does, or now and then they abort it. Two
    # things keep them: this module, whose functions' defaults hold whatever group there is when
    # DistributedDataParallel imports it, and the cycles that a wrapped module leaves behind.
    importlib.import_module("torch.distributed.nn")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield torch.distributed.get_rank()
    finally:
        gc.collect()
        torch.distributed.destroy_process_group()


def train(options: argparse.Namespace, corpus: Any, config: Any) -> list[dict[str, float]]:
    """Run the training; return a row an epoch: epoch, train, valid (NLL), seconds."""
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    with process_group(device) as rank:
        return Run(options, corpus, config, device, rank).go()


class Run:
    """One training run: the parts that it is made of, and its files.

    Raises:
        SystemExit: what is asked for does not go together.
    """

    def __init__(
        self, options: argparse.Namespace, corpus: Any, config: Any, device: torch.device, rank: int
    ) -> None:
        self.options, self.corpus, self.config, self.rank = options, corpus, config, rank
        self.checkpoint = importlib.import_module("checkpoint")
        self.inference = importlib.import_module("inference")
        self.model_class = importlib.import_module("language_model").LanguageModel
        make = importlib.import_module("data_loader").LanguageModelDataLoader
        trainer_class = importlib.import_module("trainer").LanguageModelTrainer
        if "RANK" in os.environ and not getattr(trainer_class, "distributed", False):
            sys.exit(
                "this trainer is not written for several processes (it would say `distributed = "
                "True`): start train.py without torchrun"
            )
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(config.seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(config.seed + rank)  # other rows, other dropout
        self.display = Display(config.epochs, quiet=rank > 0)
        self.say = self.display.console.print
        self.device = device
        settings = self.checkpoint.model_settings(self.model_class, config)
        self.model = self.model_class(len(corpus.vocab), **settings).to(device)
        if options.start:
            self.start(options.start)
        windows = accepted(make, bptt=config.bptt)
        blank_lines = getattr(config, "blank_lines", False)
        articles = corpus.train.articles(blank_lines)
        loader = make(articles, config.batch_size, shuffle=True, **windows)
        valid = make(
            corpus.valid.articles(blank_lines), config.batch_size, shuffle=False, **windows
        )
        self.run_id = options.run_id or f"{options.submission.resolve().name}-{corpus.name}"
        self.trainer = trainer_class(
            self.model,
            Monitored(loader, sum(map(len, articles)), self.display.step),
            max_epochs=config.epochs,
            run_id=self.run_id,
            **accepted(trainer_class, valid_loader=valid, config=config),
        )
        self.folder = Path("runs/train") / self.run_id
        self.state = self.folder / "state.safetensors"
        self.steps = self.folder / "steps.jsonl"
        suffix = "" if corpus.name == "wikitext2" else f".{corpus.name}"
        self.weights = options.submission / f"checkpoint{suffix}.safetensors"
        if options.no_copy:
            self.weights = self.folder / "checkpoint.safetensors"  # where a trainer saves them

    def start(self, weights: Path) -> None:
        """Put weights that were trained before into the model, if they fit."""
        try:
            self.checkpoint.load_weights(weights, self.model)
        except Exception as error:  # noqa: BLE001 - a file of any kind may be named
            sys.exit(
                f"--start {weights}: these weights do not fit this model ({error}).\nName weights "
                "that were trained with the same settings, or give those settings as flags."
            )

    def go(self) -> list[dict[str, float]]:
        """Train, or only validate; return the history."""
        if self.options.evaluate:
            loaded = self.checkpoint.load(self.weights, self.model_class, len(self.corpus.vocab))
            self.trainer.model = loaded.to(self.device)
            self.say(f"{self.weights}: {scale(self.corpus, float(self.trainer.test()))}")
            return []
        config, say = self.config, self.say
        history = resume(self.checkpoint, self.state, self.trainer, config, self.options.fresh)
        count = sum(p.numel() for p in self.model.parameters())
        say(
            f"{self.run_id}: {count / 1e6:.1f}M parameters on {self.device}, {self.corpus.name} "
            f"({len(self.corpus.train):,} tokens), {config.epochs} epochs; files in {self.folder}"
        )
        if len(history) >= config.epochs:
            say("this run is finished: --epochs N goes on, --fresh begins again (say, new code)")
        elif history:
            say(f"going on after epoch {len(history)} (--fresh begins again)")
        # One process writes for all.
        log = None if self.rank else StepLog(self.steps, self.trainer, len(history))
        self.record(log)
        try:
            for _ in range(len(history), config.epochs):
                self.epoch(history, log)
        except FloatingPointError as error:
            sys.exit(self.diverged(error, history))
        finally:
            if log:
                log.close()
        best = min(row["valid"] for row in history)
        say(f"best {scale(self.corpus, best)}; weights in {self.weights}")
        return history

    def record(self, log: StepLog | None) -> None:
        """Make every step of the trainer show and log its loss, and stop at one that is not finite.

        Raises (in the step):
            FloatingPointError: the loss is NaN or infinite.
        """
        train_batch, display = self.trainer.train_batch, self.display

        def recorded(*batch: Any) -> Any:
            started = time.monotonic()
            display.steps += 1
            returned = loss = train_batch(*batch)
            if isinstance(loss, torch.Tensor) and loss.numel() == 1:
                loss = loss.item()
            loss = float(loss) if isinstance(loss, int | float) else None
            if loss is not None:
                display.loss(loss)
            if log:
                log.write(display.epoch, batch[-1].numel(), loss, time.monotonic() - started)
            if loss is not None and not math.isfinite(loss):
                rate = log.learning_rate() if log else None
                raise FloatingPointError(f"the loss is {loss} at learning rate {rate}")
            return returned

        self.trainer.train_batch = recorded

    def epoch(self, history: list[dict[str, float]], log: StepLog | None) -> None:
        """Train for one more epoch, validate, and write its files."""
        epoch = len(history) + 1
        self.display.begin(epoch)
        loss = self.trainer.train()
        seconds = time.monotonic() - self.display.started
        nll = self.trainer.test()
        loss, nll = (float(v) if v is not None else math.nan for v in (loss, nll))
        loss = self.display.mean if math.isnan(loss) else loss
        best = min((row["valid"] for row in history), default=math.inf)
        history.append({"epoch": epoch, "train": loss, "valid": nll, "seconds": seconds})
        self.say(
            f"epoch {epoch}/{self.config.epochs}  train NLL {loss:.4f}  "
            f"{scale(self.corpus, nll)}  {clock(seconds)}"
        )
        if log is None:
            return
        for line in samples(self.inference, self.model, self.corpus):
            self.say(f"    {line}", markup=False)
        if not nll >= best:
            written = self.trainer.save()
            copied = written is not None and Path(written).is_file() and not self.options.no_copy
            if copied:
                keep(Path(written), self.weights, self.say)
        log.flush()  # a state to resume from promises the steps before it
        finish_epoch(self.checkpoint, self.folder, self.state, self.trainer, self.config, history)

    def diverged(self, error: FloatingPointError, history: list[dict[str, float]]) -> str:
        """Say what happened at which step, and what is still good."""
        step = f"epoch {len(history) + 1}, step {self.display.steps}"
        told = f"training stopped at {step}: {error}.\n"
        if not history:
            return told + "No epoch was finished, so nothing was saved. Try --lr of half the size."
        best = min(history, key=lambda row: row["valid"])
        return told + (
            f"The last good checkpoint is {self.state}, after epoch {len(history)}; the best "
            f"weights so far, of epoch {best['epoch']} ({scale(self.corpus, best['valid'])}), are "
            f"{self.weights}.\nTry half the learning rate: --lr with --fresh, or with another "
            "--run-id."
        )


def scale(corpus: Any, nll: float) -> str:
    """Return a validation NLL in words: perplexity for words, bits for characters."""
    if corpus.separator:
        return f"valid NLL {nll:.4f} (perplexity {math.exp(min(nll, 50)):.1f})"
    return f"valid NLL {nll:.4f} ({nll / math.log(2):.3f} bits a character)"


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
        if options.level == "character":
            from autograder.characters import characters

            corpus = characters(corpus)
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
    except ValueError as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        inside = Path(place.filename).resolve().is_relative_to(options.submission.resolve())
        if not inside or not (place.line or "").startswith("raise "):
            raise  # a mistake, which its traceback helps to find
        print(f"refused: {error} ({Path(place.filename).name}, line {place.lineno})")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
