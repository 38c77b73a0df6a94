"""worker.py's steps of training: right trainers of any style pass, wrong ones are seen."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autograder.checks import trainer as trainer_checks
from autograder.checks.verdict import Problem
from autograder.run import Observation
from autograder.worker import Watch, held_model, report_nll, step_train, unread_words

VOCAB, ROWS, STEPS = 40, 4, 6


class Tiny(nn.Module):
    """Scores of the next word, by a GRU over [batch, time]."""

    def __init__(self, sparse: bool = False, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 16, sparse=sparse)
        self.rnn = nn.GRU(16, 16, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.decoder = nn.Linear(16, VOCAB)
        if tied:
            self.decoder.weight = self.embedding.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decoder(self.dropout(self.rnn(self.embedding(inputs))[0]))


def mean_nll(model, inputs, targets) -> Tensor:
    return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def text() -> tuple[Tensor, Tensor]:
    stream = torch.arange(ROWS * (STEPS + 1)).view(ROWS, -1)
    return stream[:, :-1], stream[:, 1:]


def watched(step, model, batches: int = 6, watch: bool = True) -> Watch:
    """Take steps, and say what was seen of them."""
    torch.manual_seed(1)
    seen = Watch(model)
    with seen if watch else nullcontext():
        for _ in range(batches):
            step(*text())
    return seen


def kept(seen: Watch) -> set[str]:
    """The weights whose gradients were added to the last step's, every time."""
    return {name for name, (came, added) in seen.gradients.items() if came == added}


def stepper(model, optimizer, before=None, after=None):
    def step(inputs, targets):
        if before:
            before()
        mean_nll(model, inputs, targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        if after:
            after()

    return step


def cleared_before(model):
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    return stepper(model, optimizer, before=optimizer.zero_grad)


def cleared_after(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return stepper(model, optimizer, after=lambda: optimizer.zero_grad(set_to_none=False))


def cleared_by_the_model(model):
    return stepper(model, torch.optim.Adagrad(model.parameters()), before=model.zero_grad)


def cleared_by_hand(model):
    def clear():
        for p in model.parameters():
            p.grad.detach().zero_()

    return stepper(model, torch.optim.SGD(model.parameters(), 0.1), after=clear)


def in_small_pieces(model):
    """Gradients of several pieces of a batch add up to one step."""
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def step(inputs, targets):
        optimizer.zero_grad()
        for x, y in zip(inputs.chunk(2), targets.chunk(2), strict=True):
            (mean_nll(model, x, y) / 2).backward()
        optimizer.step()

    return step


def a_step_for_every_second_batch(model):
    optimizer, count = torch.optim.Adam(model.parameters(), 0.01), iter(range(99))

    def step(inputs, targets):
        mean_nll(model, inputs, targets).backward()
        if next(count) % 2:
            optimizer.step()
            optimizer.zero_grad()

    return step


def a_step_for_each_piece_of_time(model):
    """Truncated back-propagation within a batch."""
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def step(inputs, targets):
        for x, y in zip(inputs.split(3, 1), targets.split(3, 1), strict=True):
            optimizer.zero_grad()
            mean_nll(model, x, y).backward()
            optimizer.step()

    return step


def with_a_closure(model):
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def step(inputs, targets):
        def closure():
            optimizer.zero_grad()
            loss = mean_nll(model, inputs, targets)
            loss.backward()
            return loss

        optimizer.step(closure)

    return step


def with_a_scaler(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)

    def step(inputs, targets):
        optimizer.zero_grad()
        scaler.scale(mean_nll(model, inputs, targets)).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def with_gradients_of_its_own(model):
    """Nothing is added to: torch.autograd.grad gives gradients that take the old ones' place."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(inputs, targets):
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(mean_nll(model, inputs, targets), parameters)
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        optimizer.step()

    return step


def with_an_optimizer_in_backward(model):
    def take(p):
        with torch.no_grad():
            p -= 0.1 * p.grad
        p.grad = None

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(take)
    return lambda inputs, targets: mean_nll(model, inputs, targets).backward()


def that_saves_and_copies_its_model(model):
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def keep():
        optimizer.zero_grad()
        pickle.dumps(model)
        mean_nll(copy.deepcopy(model), *text()).backward()

    return stepper(model, optimizer, after=keep)


RIGHT = [
    cleared_before,
    cleared_after,
    cleared_by_the_model,
    cleared_by_hand,
    in_small_pieces,
    a_step_for_every_second_batch,
    a_step_for_each_piece_of_time,
    with_a_closure,
    with_a_scaler,
    with_gradients_of_its_own,
    with_an_optimizer_in_backward,
    that_saves_and_copies_its_model,
]


@pytest.mark.parametrize("make", RIGHT, ids=lambda make: make.__name__)
@pytest.mark.parametrize("tied", [False, True])
def test_no_gradient_of_a_right_trainer_is_taken_for_an_old_one(make, tied):
    torch.manual_seed(0)
    model = Tiny(tied=tied)
    seen = watched(make(model), model)
    assert kept(seen) == set()
    assert seen.losses >= 6
    assert seen.in_eval == 0


def sparse_and_dense(model):
    """Two optimizers, one of them for the sparse gradients of the embedding."""
    dense = [p for p in model.parameters() if p is not model.embedding.weight]
    return torch.optim.SparseAdam([model.embedding.weight]), torch.optim.Adam(dense)


@pytest.mark.parametrize("cleared", [True, False])
def test_sparse_gradients_are_seen_too(cleared):
    torch.manual_seed(0)
    model = Tiny(sparse=True)
    optimizers = sparse_and_dense(model)

    def step(inputs, targets):
        if cleared:
            model.zero_grad()
        mean_nll(model, inputs, targets).backward()
        for optimizer in optimizers:
            optimizer.step()

    found = kept(watched(step, model))
    assert found == (set() if cleared else set(dict(model.named_parameters())))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_gradients_that_are_never_cleared_are_seen_for_every_weight(optimizer):
    torch.manual_seed(0)
    model = Tiny()
    model.rnn.weight_hh_l0.requires_grad_(False)  # a frozen weight gets none
    seen = watched(stepper(model, optimizer(model.parameters(), 0.01)), model)
    assert kept(seen) == {n for n, p in model.named_parameters() if p.requires_grad}
    assert set(map(tuple, seen.gradients.values())) == {(5, 5)}


def test_gradients_of_weights_that_no_optimizer_moves_are_not_its_fault():
    torch.manual_seed(0)
    model = Tiny()
    optimizer = torch.optim.Adam(model.decoder.parameters())
    seen = watched(stepper(model, optimizer, before=optimizer.zero_grad), model)
    assert kept(seen) == set()
    assert set(seen.gradients) == {"decoder.weight", "decoder.bias"}


@pytest.mark.parametrize("make", RIGHT, ids=lambda make: make.__name__)
def test_watching_changes_no_weight_by_a_bit(make):
    states = []
    for watch in (False, True):
        torch.manual_seed(0)
        model = Tiny()
        watched(make(model), model, watch=watch)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_hooks_are_gone_afterwards():
    model = Tiny()
    watched(cleared_before(model), model)
    assert not any(p._backward_hooks or p._post_accumulate_grad_hooks for p in model.parameters())
    assert not nn.modules.module._global_forward_pre_hooks


class Functions(nn.Module):
    """A model without parts, called by a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(VOCAB, VOCAB))

    def nll(self, inputs, targets):
        return nn.functional.cross_entropy(self.table[inputs].flatten(0, 1), targets.flatten())


def test_the_mode_is_that_in_which_losses_were_made():
    model, functions = Tiny(), Functions()
    optimizer = torch.optim.SGD([*model.parameters(), *functions.parameters()], 0.1)

    def by_parts(inputs, targets):
        features = model.rnn(model.embedding(inputs))[0]
        return nn.functional.cross_entropy(model.decoder(features).flatten(0, 1), targets.flatten())

    def step(nll, mode):
        def take(inputs, targets):
            model.train(mode)
            functions.train(mode)
            optimizer.zero_grad()
            nll(inputs, targets).backward()
            optimizer.step()

        return take

    for mode in (True, False):
        for of, nll in ((model, partial(mean_nll, model)), (model, by_parts)):
            seen = watched(step(nll, mode), of)
            assert (seen.losses, seen.in_eval) == (6, 0 if mode else 6)
        seen = watched(step(functions.nll, mode), functions)
        assert (seen.losses, seen.in_eval) == (6, 0 if mode else 6)


def test_validation_between_steps_and_frozen_parts_are_no_eval_mode():
    model = Tiny()
    right = cleared_before(model)

    def validate(inputs, targets):
        model.train()
        model.rnn.eval()
        right(inputs, targets)
        model.eval()
        with torch.no_grad():
            mean_nll(model, inputs, targets)
        mean_nll(model, inputs, targets)  # not every validation saves its memory

    seen = watched(validate, model)
    assert (seen.losses, seen.in_eval) == (6, 0)


def test_a_model_in_train_mode_may_call_nothing_but_a_frozen_part():
    model = Tiny()
    model.embedding.eval()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(inputs, targets):
        scores = model.embedding(inputs) @ model.embedding.weight.t()
        optimizer.zero_grad()
        nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten()).backward()
        optimizer.step()

    seen = watched(step, model)
    assert (seen.losses, seen.in_eval) == (6, 0)


def test_the_model_is_found_wherever_a_trainer_holds_it():
    model = Tiny()
    loss = nn.CrossEntropyLoss()
    assert held_model(SimpleNamespace(model=model)) is model
    assert held_model(SimpleNamespace(criterion=loss, net=model)) is model
    assert held_model(SimpleNamespace(model="gru", criterion=loss, net=model)) is model
    wrapped = nn.DataParallel(model)
    assert held_model(SimpleNamespace(model=wrapped)) is wrapped
    assert list(held_model(SimpleNamespace()).parameters()) == []


class Reports:
    """Takes what a step reports."""

    def __init__(self) -> None:
        self.spec, self.values = {"small_vocab": VOCAB}, {}

    def value(self, name, value) -> None:
        self.values[name] = value


LAYOUTS = {
    "[batch, time], a pair": (lambda x: x, lambda s: (s, "state"), lambda y: y),
    "[batch, time], flat targets": (lambda x: x, lambda s: s, lambda y: y.flatten()),
    "[batch, vocabulary, time]": (lambda x: x, lambda s: s.transpose(1, 2), lambda y: y),
    "[time, batch]": (lambda x: x.t(), lambda s: s.transpose(0, 1), lambda y: y.t()),
    "[time, batch], flat targets": (
        lambda x: x.t(),
        lambda s: s.transpose(0, 1),
        lambda y: y.t().flatten(),
    ),
    "[words, vocabulary]": (lambda x: x, lambda s: s.flatten(0, 1), lambda y: y.flatten()),
}


class Successors(nn.Module):
    """Knows that the word `ahead` places on comes next, whatever the order of its axes."""

    def __init__(self, ahead: int, scores=lambda s: s, inputs=lambda x: x) -> None:
        super().__init__()
        self.ahead, self.scores, self.inputs = ahead, scores, inputs

    def forward(self, inputs: Tensor):
        ids = self.inputs(inputs) + self.ahead
        return self.scores(10.0 * nn.functional.one_hot(ids, VOCAB).float())


@pytest.mark.parametrize(("x", "s", "y"), LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(("ahead", "best"), [(0, "inputs"), (1, "targets"), (2, "after")])
def test_the_words_that_a_model_knows_have_the_least_nll_in_every_layout(x, s, y, ahead, best):
    inputs, targets = text()
    worker = Reports()
    model = Successors(ahead, s, inputs=x)  # turned back to [batch, time], then laid out
    report_nll(worker, "nll", model, x(inputs), y(targets))
    nll = worker.values["nll"]
    assert min(nll, key=nll.get) == best
    # e^10 against the 39 other words: all of the text but its windows' ends is known.
    assert nll[best] == pytest.approx(np.log1p(39 * np.exp(-10)), rel=1e-3)


@pytest.mark.parametrize("scores", [lambda s: None, lambda s: s[:, -1], lambda s: s[..., :-1]])
def test_scores_that_cannot_be_read_are_not_reported(scores):
    worker = Reports()
    report_nll(worker, "nll", Successors(1, scores), *text())
    assert worker.values == {}


def test_unread_words_stand_nowhere_in_the_batch():
    inputs, targets = text()
    for y in (targets, targets.flatten(), targets.int()):
        unread = unread_words(Reports(), inputs, y)
        assert (unread.shape, unread.dtype) == (y.shape, y.dtype)
        assert not set(unread.flatten().tolist()) & set(range(ROWS * (STEPS + 1)))
        assert unread.max() < VOCAB


class Trainer:
    """Trains on the scores and words that `words` takes."""

    def __init__(self, model, words) -> None:
        self.model, self.words, self.loader = model, words, [text()]
        self.optimizer = torch.optim.Adam(model.parameters(), 0.05)

    def train_batch(self, inputs, targets):
        scores, words = self.words(self.model(inputs), inputs, targets)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), words.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (lambda s, x, y: (s, y), None),
        (lambda s, x, y: (s, x), "it is the loss of the inputs"),
        (lambda s, x, y: (s[:, :-1], y[:, 1:]), "it is the loss of the words after the targets"),
    ],
)
def test_a_loss_on_wrong_words_is_told_from_the_right_one(words, says, monkeypatch):
    torch.manual_seed(0)
    worker = Reports()
    worker.spec |= {"train_steps": 40, "train_flops": 10**12}
    worker.trainer, worker.loader = lambda **_: Trainer(Tiny(), words), lambda **_: []
    worker.array = lambda name, value: worker.value(name, np.asarray(value))
    step_train(worker)
    losses = worker.values.pop("losses")
    assert losses[-1] < 1
    seen = Observation("trainer.batch", "ok", {"losses": losses}, worker.values)
    monkeypatch.setattr(trainer_checks.made_up, "vocabulary", lambda: VOCAB)
    if says is None:
        trainer_checks.loss(seen)
    else:
        with pytest.raises(Problem, match=says):
            trainer_checks.loss(seen)
