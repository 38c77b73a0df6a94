"""The training command: resume, settings, files, and what it says."""

import json
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


def rows(path):
    """Metrics without the seconds."""
    lines = map(json.loads, path.read_text().splitlines())
    return [{key: row[key] for key in ("epoch", "train", "valid")} for row in lines]


def test_resuming_after_an_interrupt_gives_the_same_curve_and_weights(
    train, submission, tmp_path, monkeypatch, capsys
):
    arguments = ["--submission", str(submission), *TINY]
    assert train.main(arguments) == 0
    whole = rows(tmp_path / "runs/train/tiny/metrics.jsonl")
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
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(best, abs=2e-3)


def test_weights_that_cannot_be_put_in_the_submission_stay_where_they_are(
    train, submission, tmp_path, monkeypatch, capsys
):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(train.shutil, "copyfile", refuse)
    assert train.main(["--submission", str(submission), *TINY, "--epochs", "1"]) == 0
    assert "the weights stay in runs/train/tiny/checkpoint.safetensors" in capsys.readouterr().out


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
