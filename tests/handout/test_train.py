"""The training command: resume, settings, files, and what it says."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    *("--corpus", "numbers", "--run-id", "tiny", "--threads", "1", "--epochs", "2"),
    *("--embedding-size", "8", "--hidden-size", "8", "--batch-size", "100"),
    *("--hidden-dropout", "0.2"),
]

# What is left of the group would go on in threads while the interpreter ends, which may abort it.
GROUP_IS_GONE = """
import runpy, sys, weakref
from torch import distributed

destroy = distributed.destroy_process_group

def and_gone():
    group = weakref.ref(distributed.group.WORLD)
    destroy()
    assert group() is None, "something holds the process group"
    print("the group is gone")

distributed.destroy_process_group = and_gone
del sys.argv[0]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def rows(path):
    """Metrics of epochs or steps, without the seconds."""
    lines = map(json.loads, path.read_text().splitlines())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in lines]


def test_resuming_after_an_interrupt_gives_the_same_curve_and_weights(
    train, submission, tmp_path, monkeypatch, capsys
):
    arguments = ["--submission", str(submission), *TINY]
    assert train.main(arguments) == 0
    whole = rows(tmp_path / "runs/train/tiny/metrics.jsonl")
    steps = rows(tmp_path / "runs/train/tiny/steps.jsonl")
    weights = (submission / "checkpoint.numbers.safetensors").read_bytes()
    (submission / "checkpoint.numbers.safetensors").unlink()

    import trainer

    step, calls = trainer.LanguageModelTrainer.train_batch, []

    def interrupted(self, *batch):
        calls.append(1)
        if len(calls) == 16:  # an epoch has about 11 windows of 50 steps: this is in the second
            raise KeyboardInterrupt
        return step(self, *batch)

    monkeypatch.setattr(trainer.LanguageModelTrainer, "train_batch", interrupted)
    assert train.main([*arguments, "--fresh"]) == 130
    assert "goes on after the last whole epoch" in capsys.readouterr().err
    assert len(rows(tmp_path / "runs/train/tiny/metrics.jsonl")) == 1
    monkeypatch.setattr(trainer.LanguageModelTrainer, "train_batch", step)
    torch.manual_seed(999)  # whatever the new process begins with
    assert train.main(arguments) == 0
    assert "going on after epoch 1" in capsys.readouterr().out
    assert rows(tmp_path / "runs/train/tiny/metrics.jsonl") == whole
    assert rows(tmp_path / "runs/train/tiny/steps.jsonl") == steps
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    assert (submission / "checkpoint.numbers.safetensors").read_bytes() == weights


def test_a_run_with_other_settings_or_code_is_not_resumed(train, submission, tmp_path):
    arguments = ["--submission", str(submission), *TINY, "--epochs", "1"]
    assert train.main(arguments) == 0
    with pytest.raises(SystemExit, match=r"lr was 0\.006 and is 0\.5"):
        train.main([*arguments, "--lr", "0.5"])


def test_an_epoch_leaves_metrics_a_picture_and_weights_that_load(
    train, submission, tmp_path, capsys
):
    assert train.main(["--submission", str(submission), *TINY]) == 0
    folder = tmp_path / "runs/train/tiny"
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint.safetensors",
        "curve.png",
        "metrics.jsonl",
        "state.safetensors",
        "steps.jsonl",
    }
    from matplotlib.image import imread

    assert imread(folder / "curve.png").std() > 0.05  # there are lines on it
    history = rows(folder / "metrics.jsonl")
    out = capsys.readouterr().out
    assert [row["epoch"] for row in history] == [1, 2]
    assert f"valid NLL {history[1]['valid']:.4f}" in out
    assert out.count("▸") == 6  # three samples an epoch
    assert train.main(["--submission", str(submission), *TINY, "--evaluate"]) == 0
    best = min(row["valid"] for row in history)
    # half precision of the weights
    assert float(capsys.readouterr().out.split()[-3]) == pytest.approx(best, abs=2e-3)


def test_weights_that_cannot_be_put_in_the_submission_stay_where_they_are(
    train, submission, tmp_path, monkeypatch, capsys
):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(train.shutil, "copyfile", refuse)
    assert train.main(["--submission", str(submission), *TINY, "--epochs", "1"]) == 0
    assert "the weights stay in runs/train/tiny/checkpoint.safetensors" in capsys.readouterr().out


def test_without_a_copy_the_submissions_own_weights_stay(train, submission, tmp_path, capsys):
    own = submission / "checkpoint.numbers.safetensors"
    own.write_bytes(b"better ones")
    arguments = ["--submission", str(submission), *TINY, "--epochs", "1", "--no-copy"]
    assert train.main(arguments) == 0
    assert own.read_bytes() == b"better ones"
    assert "weights in runs/train/tiny/checkpoint.safetensors" in capsys.readouterr().out
    capsys.readouterr()
    assert train.main([*arguments, "--evaluate"]) == 0
    assert "runs/train/tiny/checkpoint.safetensors: valid NLL" in capsys.readouterr().out


def test_every_field_of_config_is_a_flag_and_others_are_refused(train, submission, capsys):
    options, given, presets = train.parse(
        ["--submission", str(submission), "--lr", "0.5", "--cutoffs", "3,9", "--cell", "qrnn"]
    )
    assert given == {"lr": 0.5, "cutoffs": (3, 9), "cell": "qrnn"}
    assert train.choose(presets, None, "numbers", given).epochs == presets["numbers"].epochs
    assert train.choose(presets, None, "wikitext2", given).cutoffs == (3, 9)
    assert options.device == "auto"
    with pytest.raises(SystemExit) as stopped:
        train.parse(["--submission", str(submission), "--learning-rate", "1"])
    assert stopped.value.code == 2
    assert "--learning-rate" in capsys.readouterr().err


def test_several_processes_of_part_of_a_batch_follow_one_process_of_the_whole(submission, tmp_path):
    settings = [*TINY, "--epochs", "1", "--hidden-dropout", "0", "--alpha", "2", "--beta", "1"]
    settings += ["--lr", "0.03", "--softmax", "adaptive", "--cutoffs", "5,12", "--batch-size", "20"]
    script = [str(ROOT / "handout/train.py"), "--submission", str(submission), *settings]
    watched = tmp_path / "watched.py"
    watched.write_text(GROUP_IS_GONE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    runs = {"one": [sys.executable], "two": [*torchrun, str(watched)]}
    curves = {}
    for name, command in runs.items():
        done = subprocess.run(
            [*command, *script, "--run-id", name],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("epoch 1/1") == 1  # one process speaks for all
        assert done.stdout.count("the group is gone") == (2 if name == "two" else 0)
        folder = tmp_path / "runs/train" / name
        (epoch,) = rows(folder / "metrics.jsonl")
        curves[name] = [row["loss"] for row in rows(folder / "steps.jsonl")] + [epoch["valid"]]
    assert curves["one"][0] - curves["one"][-1] > 0.1  # it learned something
    # float32, gradients summed in another order; Adam's first steps magnify the difference
    assert curves["two"] == pytest.approx(curves["one"], rel=1e-3)


def test_rows_that_processes_cannot_share_evenly_are_refused(train, monkeypatch):
    import trainer

    monkeypatch.setattr(trainer, "_processes", lambda: 3)
    with pytest.raises(ValueError, match="4 rows cannot be shared evenly by 3 processes"):
        trainer.LanguageModelTrainer._mine(None, torch.zeros(4, 2))


def test_a_trainer_that_knows_one_process_only_is_refused_under_torchrun(
    train, submission, monkeypatch
):
    import trainer

    monkeypatch.delattr(trainer.LanguageModelTrainer, "distributed")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda _: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    with pytest.raises(SystemExit, match="without torchrun"):
        train.main(["--submission", str(submission), *TINY])


def test_a_loss_that_is_not_finite_names_step_rate_and_last_good_checkpoint(
    train, submission, tmp_path, monkeypatch
):
    import trainer

    step, calls = trainer.LanguageModelTrainer.train_batch, []

    def poisoned(self, *batch):
        calls.append(1)
        if len(calls) == 16:
            with torch.no_grad():
                self.model.embedding.weight.fill_(math.nan)
        return step(self, *batch)

    monkeypatch.setattr(trainer.LanguageModelTrainer, "train_batch", poisoned)
    with pytest.raises(SystemExit) as stopped:
        train.main(["--submission", str(submission), *TINY])
    told = str(stopped.value)
    first = len(
        [row for row in rows(tmp_path / "runs/train/tiny/steps.jsonl") if row["epoch"] == 1]
    )
    assert f"training stopped at epoch 2, step {16 - first}: the loss is nan" in told
    assert "learning rate 0.00" in told
    assert "runs/train/tiny/state.safetensors, after epoch 1" in told
    assert "checkpoint.numbers.safetensors" in told
    import checkpoint
    from language_model import LanguageModel

    weights = submission / "checkpoint.numbers.safetensors"
    kept = checkpoint.load(weights, LanguageModel, 30)
    assert all(torch.isfinite(p).all() for p in kept.parameters())


def test_a_students_trainer_that_returns_nan_is_stopped_too(train, submission, monkeypatch):
    import trainer

    monkeypatch.setattr(trainer.LanguageModelTrainer, "train_batch", lambda *_: math.nan)
    told = r"epoch 1, step 1: the loss is nan.*\n.*nothing was saved"
    with pytest.raises(SystemExit, match=told):
        train.main(["--submission", str(submission), *TINY])


def test_training_can_start_from_given_weights(train, submission, tmp_path):
    arguments = ["--submission", str(submission), *TINY]
    assert train.main([*arguments, "--lr", "0.03"]) == 0
    best = min(row["valid"] for row in rows(tmp_path / "runs/train/tiny/metrics.jsonl"))
    start = tmp_path / "start.safetensors"
    start.write_bytes((submission / "checkpoint.numbers.safetensors").read_bytes())
    tuning = ["--start", str(start), "--optimizer", "asgd", "--lr", "1e-6", "--run-id", "tuned"]
    assert train.main([*arguments, *tuning]) == 0
    first, _ = rows(tmp_path / "runs/train/tuned/metrics.jsonl")
    # steps of next to nothing, from weights in half precision
    assert first["valid"] == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_to_start_from_that_do_not_fit_are_named(train, submission, tmp_path, content):
    weights = tmp_path / "start.safetensors"
    if content:
        weights.write_bytes(content)
    with pytest.raises(SystemExit, match=r"start\.safetensors: these weights do not fit"):
        train.main(["--submission", str(submission), *TINY, "--start", str(weights)])


def test_settings_that_a_submission_refuses_are_told_without_a_traceback(tmp_path):
    folder = tmp_path / "picky"
    folder.mkdir()
    shutil.copy(ROOT / "handout/data_loader.py", folder)
    (folder / "language_model.py").write_text(
        "class LanguageModel:\n"
        "    def __init__(self, vocab_size, num_layers=2):\n"
        "        if num_layers == 3:\n"
        "            raise ValueError('num_layers is 3: one or two')\n"
        "        a, b = range(num_layers + 1)\n"
    )
    command = [sys.executable, str(ROOT / "handout/train.py"), "--corpus", "numbers"]
    command += ["--submission", str(folder), "--num-layers"]
    refused, mistaken = (
        subprocess.run([*command, layers], cwd=tmp_path, capture_output=True, text=True)
        for layers in ("3", "2")
    )
    assert refused.returncode == 2
    assert refused.stdout == "refused: num_layers is 3: one or two (language_model.py, line 4)\n"
    assert "Traceback" not in refused.stderr
    assert mistaken.returncode == 1  # a mistake of one's own wants to be found
    assert "Traceback" in mistaken.stderr and "a, b = range" in mistaken.stderr


def test_characters_are_reported_in_bits(train, submission, tmp_path, capsys):
    arguments = ["--submission", str(submission), *TINY, "--epochs", "1", "--level", "character"]
    assert train.main(arguments) == 0
    (epoch,) = rows(tmp_path / "runs/train/tiny/metrics.jsonl")
    assert f"{epoch['valid'] / math.log(2):.3f} bits a character" in capsys.readouterr().out
    assert (submission / "checkpoint.numbers-chars.safetensors").exists()


def test_the_untouched_handout_says_what_to_write_and_shows_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "handout/train.py"), "--corpus", "numbers"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "not written yet: LanguageModel.__init__: see ASSIGNMENT.md, part 2" in done.stderr
    assert "Traceback" not in done.stderr
