"""The ladder: its cells against PyTorch's, its rungs against each other, windows, the command."""

import json
import math

import ladder.__main__ as command
import pytest
import torch
from ladder import RUNGS, Dropout, GRUCell, LSTMCell
from ladder.cells import unroll
from ladder.climb import Settings, baseline, measure, train, windows
from ladder.models import Carried, EveryWord, FixedWindow, Loop, TiedLSTM
from torch import nn

from autograder import corpus

# The same sums of some tens of terms in another order, in float64.
FLOAT64 = {"rtol": 1e-10, "atol": 1e-12}
# The same in float32, through a dozen steps.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}

EVERY_WORD = [n for n, rung in RUNGS.items() if rung.length > 3]


@pytest.fixture(autouse=True)
def _threads():
    """The command sets torch's threads, which other tests should not notice."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def numbers():
    """The streams of training and validation, int64 [words]."""
    splits = corpus.numbers()
    return torch.from_numpy(splits.train.stream()), torch.from_numpy(splits.valid.stream())


@pytest.mark.parametrize(("ours", "theirs"), [(LSTMCell, nn.LSTMCell), (GRUCell, nn.GRUCell)])
def test_a_cell_is_pytorchs_in_values_and_gradients(ours, theirs):
    ours, theirs = ours(5, 7).double(), theirs(5, 7).double()
    theirs.load_state_dict(ours.state_dict())
    parts = 2 if isinstance(ours, LSTMCell) else 1
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(3, 7, dtype=torch.float64, requires_grad=True) for _ in range(parts))
    got = ours(x, state)
    wanted = theirs(x, state) if parts == 2 else (theirs(x, *state),)
    torch.testing.assert_close(got, tuple(wanted), **FLOAT64)
    weights = torch.randn(parts, 3, 7, dtype=torch.float64)  # so that no two entries count alike
    gradients = [
        torch.autograd.grad(
            (torch.stack(tuple(out)) * weights).sum(), [x, *state, *cell.parameters()]
        )
        for cell, out in ((ours, got), (theirs, wanted))
    ]
    torch.testing.assert_close(*gradients, **FLOAT64)


@pytest.mark.parametrize(("ours", "theirs"), [(LSTMCell, nn.LSTM), (GRUCell, nn.GRU)])
def test_an_unrolled_cell_is_pytorchs_layer_from_a_state_of_zeros(ours, theirs):
    ours, theirs = ours(5, 7).double(), theirs(5, 7, batch_first=True).double()
    theirs.load_state_dict({f"{name}_l0": w for name, w in ours.state_dict().items()})
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(unroll(ours, x)[0], theirs(x)[0], **FLOAT64)


def test_dropout_drops_its_share_and_keeps_the_mean():
    n, p = 100_000, 0.3
    out = Dropout(p)(torch.ones(n))
    assert set(out.tolist()) <= {0.0, (torch.tensor(1.0) / (1 - p)).item()}
    # Standard errors of a share and of a mean of n draws; five of them, so 1 in 10 ** 6 by luck.
    share, mean = (out == 0).double().mean().item(), out.double().mean().item()
    assert share == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n))
    assert mean == pytest.approx(1, abs=5 * math.sqrt(p / (1 - p) / n))


def test_dropouts_values_fall_alone():
    n, p = 100_000, 0.3
    a, b = (Dropout(p)(torch.ones(2, n)) == 0).double()
    both = (a * b).mean().item()
    assert both == pytest.approx(p * p, abs=5 * math.sqrt(p * p * (1 - p * p) / n))


def test_dropout_is_the_identity_at_0_and_in_evaluation():
    x = torch.randn(4, 5)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(0.9).eval()(x), x)


@pytest.mark.parametrize("p", [-0.1, 1.0, math.nan])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match="from 0 to below 1"):
        Dropout(p)


def test_the_loop_computes_what_the_fixed_window_wrote_out():
    written, loop = FixedWindow(11, 6).double(), Loop(11, 6).double()
    loop.load_state_dict(written.state_dict())
    ids = torch.randint(0, 11, (5, 3))
    torch.testing.assert_close(loop(ids)[0], written(ids)[0], **FLOAT64)


def test_two_windows_with_the_state_kept_are_one_long_window():
    carried, loop = Carried(11, 6).double(), Loop(11, 6).double()
    loop.load_state_dict(carried.state_dict())
    ids = torch.randint(0, 11, (5, 6))
    _, state = carried(ids[:, :3])
    torch.testing.assert_close(carried(ids[:, 3:], state)[0], loop(ids)[0], **FLOAT64)


@pytest.mark.parametrize("number", [n for n, rung in RUNGS.items() if rung.carries])
def test_no_gradient_crosses_windows(number):
    # Words 0 to 5 stand in the first window only, so their vectors matter by the state alone.
    model = RUNGS[number].model(12, 6)
    first, second = torch.randint(0, 6, (4, 3)), torch.randint(6, 12, (4, 3))

    def gradient(scores):
        # By the vectors alone: where tied, the output layer would reach every word's row.
        return torch.autograd.grad(scores.sum(), vectors)[0][:6].abs().max().item()

    vectors = model.embedding.weight = nn.Parameter(model.embedding.weight.detach().clone())
    _, state = model(first)
    assert gradient(model(second, state)[0]) == 0
    assert gradient(model(torch.cat([first, second], dim=1))[0][:, -1:]) > 0


@pytest.mark.parametrize("number", EVERY_WORD)
def test_a_carried_state_reads_on_where_the_last_window_ended(number):
    model = RUNGS[number].model(30, 8).eval()
    ids = torch.randint(0, 30, (3, 12))
    first, state = model(ids[:, :5])
    second, _ = model(ids[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), model(ids)[0], **FLOAT32)


@pytest.mark.parametrize("number", EVERY_WORD)
def test_no_prediction_depends_on_a_later_word_or_another_row(number):
    model = RUNGS[number].model(30, 8).eval()
    ids = torch.randint(0, 30, (3, 10))
    changed = ids.clone()
    changed[0, 6:] = (changed[0, 6:] + 1) % 30
    a, b = model(ids)[0], model(changed)[0]
    torch.testing.assert_close(a[0, :6], b[0, :6], **FLOAT32)
    torch.testing.assert_close(a[1:], b[1:], **FLOAT32)
    assert not torch.allclose(a[0, 6:], b[0, 6:])


def test_a_prediction_at_every_word_ends_with_the_one_at_the_last():
    every, last = EveryWord(11, 6).double(), Carried(11, 6).double()
    last.load_state_dict(every.state_dict())
    ids = torch.randint(0, 11, (5, 7))
    torch.testing.assert_close(every(ids)[0][:, -1:], last(ids)[0], **FLOAT64)


def test_tying_shares_storage_and_stays_after_a_step():
    model = TiedLSTM(11, 6)
    loss, _ = model.loss(torch.randint(0, 11, (2, 4)), torch.randint(0, 11, (2, 4)))
    loss.backward()
    torch.optim.Adam(model.parameters()).step()
    assert model.embedding.weight.data_ptr() == model.output.weight.data_ptr()
    untied = RUNGS[8].model(11, 6)
    sizes = [sum(w.numel() for w in m.parameters()) for m in (untied, model)]
    assert sizes[0] - sizes[1] == 11 * 6


def test_the_penalties_are_the_papers_sums():
    inputs, targets = torch.randint(0, 11, (2, 4)), torch.randint(0, 11, (2, 4))
    model = TiedLSTM(11, 6, dropout=0.0, alpha=0.7, beta=0.3).double()
    h = model.features(inputs)[0].detach().numpy()
    log_p = model(inputs)[0].log_softmax(dim=2).detach().numpy()
    cells = [(b, t) for b in range(2) for t in range(4)]
    nll = -sum(log_p[b, t, targets[b, t]] for b, t in cells) / 8
    ar = sum((h[b, t] ** 2).mean() for b, t in cells) / 8
    tar = sum(((h[b, t] - h[b, t - 1]) ** 2).mean() for b, t in cells if t) / 6
    loss, _ = model.loss(inputs, targets)
    assert loss.item() == pytest.approx(nll + 0.7 * ar + 0.3 * tar, rel=1e-10)


def test_ar_weighs_what_dropout_left_and_tar_what_came_before_it():
    inputs, targets = torch.randint(0, 11, (2, 4)), torch.randint(0, 11, (2, 4))
    model = TiedLSTM(11, 6, dropout=0.5).double()
    raw = model.features(inputs)[0]

    def loss(alpha, beta):
        torch.manual_seed(1)  # the same mask each time
        model.alpha, model.beta = alpha, beta
        return model.loss(inputs, targets)[0].item()

    torch.manual_seed(1)
    dropped = model.dropout(raw)
    assert loss(1, 0) - loss(0, 0) == pytest.approx((dropped**2).mean().item(), rel=1e-9)
    assert loss(0, 1) - loss(0, 0) == pytest.approx((raw.diff(dim=1) ** 2).mean().item(), rel=1e-9)


@pytest.mark.parametrize(("batch_size", "length"), [(2, 2), (4, 3), (3, 16), (1, 1)])
def test_windows_cover_the_stream_and_targets_are_one_ahead(batch_size, length):
    stream = torch.arange(100, 200)  # each word names its place
    pairs = list(windows(stream, batch_size, length))
    for inputs, targets in pairs:
        assert inputs.shape == targets.shape == (batch_size, length)
        assert torch.equal(targets, inputs + 1)
    rows = torch.cat([inputs for inputs, _ in pairs], dim=1)
    # Each row reads on; rows follow each other; less than a window a row is left over.
    assert rows.flatten().tolist() == list(range(100, 100 + rows.numel()))
    assert rows.numel() + batch_size * length + batch_size > len(stream) - 1 >= rows.numel()


def test_windows_refuse_a_stream_that_is_too_short():
    assert len(list(windows(torch.arange(9), 2, 4))) == 1
    with pytest.raises(ValueError, match="8 words give no window of 4 to each of 2 rows"):
        list(windows(torch.arange(8), 2, 4))


@pytest.mark.parametrize("number", RUNGS)
def test_every_rung_is_asked_for_the_same_words_after_the_same_ones(number):
    # The oracle asks anew for each word, from the start of the text or of its window.
    rung = RUNGS[number]
    model, text = rung.model(9, 6).double(), torch.randint(0, 9, (20,))
    accuracy, nll = measure(model, rung, text)
    log_p = torch.stack(
        [
            model(text[None, 0 if rung.carries else i - 3 : i])[0][0, -1].log_softmax(dim=0)
            for i in range(3, 20)
        ]
    )
    assert accuracy == (log_p.argmax(dim=1) == text[3:]).double().mean().item()
    assert nll == pytest.approx(-log_p[range(17), text[3:]].mean().item(), rel=1e-10)


def test_the_baseline_counts_words():
    # Word 1 stands in five of eight places, words 0 and 2 in two and one; 1, 0, 2, 1 are asked for.
    train, valid = torch.tensor([1, 1, 0, 1, 2, 1, 0, 1]), torch.tensor([2, 2, 2, 1, 0, 2, 1])
    accuracy, nll = baseline(train, valid)
    assert accuracy == 0.5
    wanted = -(2 * math.log(5 / 8) + math.log(2 / 8) + math.log(1 / 8)) / 4
    assert nll == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("number", RUNGS)
def test_two_epochs_make_every_rung_better_than_word_frequencies(number):
    rung, (text, valid) = RUNGS[number], numbers()
    valid = valid[:1000]
    model = rung.model(len(corpus.numbers().vocab), 32)
    train(model, rung, text, Settings(epochs=2, size=32))
    accuracy, nll = measure(model, rung, valid)
    common, entropy = baseline(text, valid)
    # Far from both: the weakest of nine rungs and two seeds had 1.94 nats and was right in 35.6 of
    # a hundred words, where word frequencies have 2.78 and 17.9.
    assert accuracy > common + 0.1
    assert nll < entropy - 0.5


@pytest.mark.parametrize("field", ["epochs", "batch_size", "size", "lr"])
def test_settings_that_are_not_above_0_are_named(field):
    with pytest.raises(ValueError, match=f"{field} is above 0, not 0"):
        Settings(**{field: 0})


def test_the_command_prints_a_row_for_each_chosen_rung(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["--rungs", "4,1", "--epochs", "1", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    assert [line[:2] for line in lines if line[0].isdecimal()] == [
        ["1", "FixedWindow"],
        ["4", "EveryWord"],
    ]
    rows = [json.loads(line) for line in command.RESULTS.read_text().splitlines()]
    assert [(row["rung"], row["seed"]) for row in rows] == [(1, 0), (1, 1), (4, 0), (4, 1)]
    nll = [row["nll"] for row in rows if row["rung"] == 4]
    mean, deviation = sum(nll) / 2, abs(nll[0] - nll[1]) / math.sqrt(2)
    assert f"{mean:.3f} ± {deviation:.3f}" in printed


def test_an_interrupted_climb_keeps_what_was_finished(tmp_path, monkeypatch, capsys):
    climb = command.climb

    def interrupted(number, *arguments):
        if number == 2:
            raise KeyboardInterrupt
        return climb(number, *arguments)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "climb", interrupted)
    assert command.main(["--rungs", "1,2", "--epochs", "1"]) == 130
    printed = capsys.readouterr()
    assert "FixedWindow" in printed.out
    assert "Loop" not in printed.out
    assert "stopped" in printed.err
    assert len(command.RESULTS.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rungs", "1,12"], "there is no rung '12'; the rungs are 1 to 9"),
        (["--rungs", ""], "there is no rung ''"),
        (["--epochs", "0"], "expected a whole number above 0, not '0'"),
        (["--seeds", "two"], "expected a whole number above 0, not 'two'"),
    ],
)
def test_the_command_refuses_what_it_cannot_climb(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
