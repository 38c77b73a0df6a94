"""Transfer: the task against its text, pooling and padding row by row, the stages step by step."""

import itertools
import json
import sys

import checkpoint
import numpy as np
import pytest
import torch
from language_model import LanguageModel
from torch import nn
from transfer import __main__ as command
from transfer import batches, comparison, fitting, stages, task
from transfer.classifier import Classifier, Head, LanguageModelEncoder, pool, read
from transfer.task import Passages
from transfer.vectors import MissingGensimError, skip_gram

from autograder.corpus import Corpus, Split, numbers

KINDS = ("History", "Reception", "Plot")
OWN = 6  # words that only one kind of section uses
VOCAB = ("<eol>", "=", "Title", "Early", *KINDS, *(f"w{i}" for i in range(40)))
FIRST = VOCAB.index("w0")
SILENT = {f"{part}_dropout": 0.0 for part in ("embedding", "input", "hidden", "output", "weight")}


def corpus_of(texts):
    """A corpus whose three splits hold the given articles, written as text."""
    splits = {}
    for name, articles in texts.items():
        rows = [[VOCAB.index(word) for word in text.split()] for text in articles]
        splits[name] = Split(
            np.array(list(itertools.chain(*rows)), dtype=np.int32),
            np.cumsum([0, *map(len, rows)], dtype=np.int64),
            np.empty(0, dtype=np.int64),
        )
    return Corpus("made-up", VOCAB, digest="", **splits)


def made_up_corpus(sizes=(24, 4, 4)):
    """Articles of three sections; a third of a section's words are of its kind only."""
    rng = np.random.default_rng(0)

    def paragraph(kind):
        own = rng.integers(kind * OWN, (kind + 1) * OWN, size=30)
        ids = np.where(rng.random(30) < 1 / 3, own, rng.integers(3 * OWN, 40, size=30))
        return " ".join(f"w{i}" for i in ids[: rng.integers(20, 30)])

    def article():
        parts = ["= Title = <eol>", paragraph(0), "<eol>"]
        for kind in rng.permutation(3):
            parts += [f"= = {KINDS[kind]} = = <eol>", paragraph(kind), "<eol>"]
            parts += ["= = = Early = = = <eol>", paragraph(kind), "<eol>"]
        return " ".join(parts)

    names = ("train", "valid", "test")
    return corpus_of({n: [article() for _ in range(k)] for n, k in zip(names, sizes, strict=True)})


def language_model(cell="lstm", **dropouts):
    return LanguageModel(len(VOCAB), 8, 10, 2, cell=cell, cutoffs=(), **{**SILENT, **dropouts})


def classifier(classes=3, **settings):
    return Classifier(LanguageModelEncoder(language_model(**settings)), 8, classes)


def passages(count=40, classes=3, seed=0):
    """Passages of 3 to 12 words, of which those of a label's own give it away."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    rows = [
        FIRST + np.where(rng.random(n) < 0.5, OWN * k, 0) + rng.integers(OWN, size=n)
        for k, n in zip(labels, rng.integers(3, 13, size=count), strict=True)
    ]
    return Passages(rows, labels, np.arange(count))


def snapshot(groups):
    return [[p.detach().clone() for p in group] for group in groups]


def moved(groups, before):
    """Which groups have a parameter that changed."""
    return [
        any(not torch.equal(p, b) for p, b in zip(group, old, strict=True))
        for group, old in zip(groups, before, strict=True)
    ]


# --- the task ---------------------------------------------------------------------------------


def test_sections_are_the_paragraphs_under_level_two_headings_without_any_heading():
    text = (
        "= Title = <eol> w1 <eol> = = Plot = = <eol> w2 w3 <eol> = = = Early = = = <eol> w4 <eol> "
        "= = Title Early = = <eol> w5 <eol> w6 = w7 <eol> = Title = <eol> w8 <eol>"
    )
    ids = [VOCAB.index(word) for word in text.split()]
    got = [(heading, " ".join(VOCAB[i] for i in row)) for heading, row in task.sections(ids, VOCAB)]
    assert got == [
        ("Plot", "w2 w3"),
        ("Plot", "w4"),
        ("Title Early", "w5"),
        ("Title Early", "w6 = w7"),
    ]


def test_passages_hold_no_heading_and_at_most_so_many_words():
    made = task.make(made_up_corpus(), longest=22)
    for part in (made.train, made.held_out, made.test):
        words = {VOCAB[i] for row in part.tokens for i in row}
        assert not words & {"=", "<eol>", "Title", "Early", *KINDS}
        assert set(part.lengths) <= {20, 21, 22}


def test_labels_are_the_kinds_of_the_headings():
    made = task.make(made_up_corpus())
    kind_of = {made.names.index(name.lower()): kind for kind, name in enumerate(KINDS)}
    for row, label in zip(made.test.tokens, made.test.labels, strict=True):
        own = {(i - FIRST) // OWN for i in row if i - FIRST < 3 * OWN}
        assert own == {kind_of[label]}


def test_no_article_stands_in_two_parts_and_test_passages_come_from_valid_and_test():
    made = task.make(made_up_corpus((24, 4, 5)))
    parts = [set(part.articles) for part in (made.train, made.held_out, made.test)]
    assert parts[0] | parts[1] == set(range(24))
    assert parts[2] == set(range(24, 33))
    assert not parts[0] & parts[1]


def test_a_long_article_gives_only_so_many_passages_of_a_kind():
    body = " ".join(["w1"] * 20) + " <eol> "
    article = "= Title = <eol> = = Plot = = <eol> " + 3 * task.MOST * body
    made = task.make(corpus_of({"train": 8 * [article], "valid": [article], "test": [article]}))
    assert len(made.test) == 2 * task.MOST
    assert len(made.train) == 7 * task.MOST


def test_short_paragraphs_and_other_headings_are_left_out():
    short, long = " ".join(["w1"] * 19), " ".join(["w2"] * 20)
    article = (
        f"= Title = <eol> {long} <eol> = = Plot = = <eol> {short} <eol> {long} <eol> "
        f"= = Title = = <eol> {long} <eol>"
    )
    made = task.make(corpus_of({"train": 16 * [article], "valid": [article], "test": [article]}))
    assert len(made.test) == 2
    assert len(made.train) == 14


def test_the_draw_of_training_passages_is_of_the_wanted_size_and_repeats_none():
    made = task.make(made_up_corpus(), at_most=17)
    assert len(made.train) == 17
    assert len({row.tobytes() for row in made.train.tokens}) == 17
    assert len(made.test) == len(task.make(made_up_corpus()).test)


def test_the_floor_is_the_commonest_training_label_measured_on_test():
    def part(labels):
        return Passages([np.array([FIRST])] * len(labels), np.array(labels), np.arange(len(labels)))

    made = task.Task(part([2, 1, 2]), part([0]), part([0, 1, 2, 2, 1, 1, 1, 1]), ("a", "b", "c"))
    assert made.floor == 2
    setting = comparison.Setting(None, made, None, stages.Plan(), 0, print)
    right = comparison.majority(setting).labels == made.test.labels
    assert right.mean() == 2 / 8


def test_every_heading_belongs_to_one_kind():
    headings = list(itertools.chain.from_iterable(task.SECTIONS.values()))
    assert len(headings) == len(set(headings))


def test_a_corpus_without_headings_is_refused():
    with pytest.raises(task.TaskError, match=r"'numbers' has 0 passages for train.*= = History"):
        task.make(numbers())


def test_wikitext2_has_passages_of_every_kind_in_every_part(wikitext2):
    made = task.make(wikitext2)
    for part in (made.train, made.held_out, made.test):
        for kind in range(len(made.names)):
            assert (part.labels == kind).sum() >= 15
            assert len(set(part.articles[part.labels == kind])) >= 4
    for part in (made.train, made.held_out, made.test):
        assert not any(wikitext2.words(row[:2]) == "= =" for row in part.tokens)


# --- batches ----------------------------------------------------------------------------------

LENGTHS = np.random.default_rng(1).integers(20, 101, size=1003)


def test_an_epochs_batches_hold_every_passage_once_and_none_is_small():
    drawn = batches.sortish(LENGTHS, 16, seed=3, epoch=0)
    assert sorted(np.concatenate(drawn)) == list(range(1003))
    assert min(map(len, drawn)) >= 16
    assert [len(b) for b in batches.sortish(LENGTHS[:5], 16, 0, 0)] == [5]


def test_lengths_within_a_batch_are_similar():
    # Lengths of 20 to 100 drawn at random differ by about 75 within 16; sorted among 320
    # they differ by about 80 / 20 = 4.
    spreads = [np.ptp(LENGTHS[b]) for b in batches.sortish(LENGTHS, 16, 3, 0)]
    assert np.mean(spreads) < 8


def test_batches_differ_between_epochs_and_seeds_and_are_the_same_for_the_same():
    def drawn(seed, epoch):
        return [b.tolist() for b in batches.sortish(LENGTHS, 16, seed, epoch)]

    assert drawn(3, 1) == drawn(3, 1)
    assert drawn(3, 1) != drawn(3, 2)
    assert drawn(3, 1) != drawn(4, 1)
    lengths = [LENGTHS[b].mean() for b in batches.sortish(LENGTHS, 16, 3, 0)]
    assert lengths != sorted(lengths)


def test_batches_by_length_are_sorted_and_complete():
    drawn = np.concatenate(batches.by_length(LENGTHS, 16))
    assert sorted(drawn) == list(range(1003))
    assert (np.diff(LENGTHS[drawn]) >= 0).all()


def test_padding_puts_each_row_first_and_zeros_after():
    inputs, lengths = batches.pad([np.array([5, 6]), np.array([7]), np.array([1, 2, 3])])
    assert inputs.tolist() == [[5, 6, 0], [7, 0, 0], [1, 2, 3]]
    assert lengths.tolist() == [2, 1, 3]
    assert inputs.dtype == lengths.dtype == torch.int64


# --- the classifier ---------------------------------------------------------------------------


def test_pooling_is_last_maximum_and_mean_of_each_rows_real_steps():
    features, lengths = torch.randn(5, 7, 3), [7, 1, 4, 6, 2]
    got = pool(features, torch.tensor(lengths))
    for b, length in enumerate(lengths):
        row = features[b, :length]
        for f in range(3):
            column = [row[t, f].item() for t in range(length)]
            assert got[b, f].item() == column[-1]
            assert got[b, 3 + f].item() == max(column)
            # the order of a sum of 7 numbers of the order of 1
            assert got[b, 6 + f].item() == pytest.approx(sum(column) / length, abs=1e-6)


def test_pooling_reads_no_padding_whatever_it_holds():
    features, lengths = torch.randn(3, 6, 4), torch.tensor([2, 6, 5])
    spoilt = features.clone()
    spoilt[0, 2:], spoilt[2, 5:] = torch.nan, torch.inf
    assert torch.equal(pool(features, lengths), pool(spoilt, lengths))


@pytest.mark.parametrize("lengths", [[0, 2], [1, 4]])
def test_pooling_refuses_lengths_that_do_not_fit(lengths):
    with pytest.raises(ValueError, match="1 to 3 fit 3 time steps"):
        pool(torch.zeros(2, 3, 1), torch.tensor(lengths))


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
def test_a_passage_scores_the_same_alone_and_in_a_padded_batch(cell):
    net, given = classifier(cell=cell, input_dropout=0.5), passages()
    net(*given.batch(np.arange(40)))  # so that batch norm has statistics of its own
    net.eval()
    together = net(*given.batch(np.arange(40)))
    for i in range(40):
        # matrix products of other sizes round otherwise; the logits are of the order of 1
        torch.testing.assert_close(
            together[i], net(*given.batch(np.array([i])))[0], atol=1e-5, rtol=0
        )


def test_a_frozen_encoders_pooled_features_are_those_of_the_classifier():
    net, given = classifier(output_dropout=0.5).eval(), passages()
    pooled = read(net.encoder, given, batch_size=7)
    where = np.array([3, 17, 4])
    wanted = net(*given.batch(where))
    torch.testing.assert_close(net.head(*pooled.batch(where)), wanted, atol=1e-5, rtol=1e-5)
    assert not pooled.features.requires_grad


def test_the_head_of_a_300_wide_encoder_has_the_papers_sizes():
    linear = [layer for layer in Head(900, 6) if isinstance(layer, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(900, 50), (50, 6)]


# --- training ---------------------------------------------------------------------------------


def test_the_language_models_groups_hold_every_parameter_once_with_the_embedding_on_top():
    model = language_model()
    groups = stages.language_groups(model)
    ids = [id(p) for group in groups for p in group]
    assert len(groups) == 3
    assert sorted(ids) == sorted(map(id, model.parameters()))
    assert id(model.embedding.weight) in map(id, groups[-1])


def test_the_classifiers_groups_go_from_embedding_to_head_without_the_output_layer():
    net = classifier()
    groups = stages.classifier_groups(net)
    model = net.encoder.model
    wanted = [model.embedding, *model.layers, net.head]
    assert [list(map(id, g)) for g in groups] == [list(map(id, m.parameters())) for m in wanted]


def test_rates_fall_by_the_factor_from_group_to_group():
    groups = stages.classifier_groups(classifier())
    optimizer = fitting.Course(groups, 0.01, 1, factor=2.0).optimizer()
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(
        [1 / 800, 1 / 400, 1 / 200, 1 / 100]
    )
    assert [len(g["params"]) for g in optimizer.param_groups] == list(map(len, groups))


def test_each_phase_of_unfreezing_has_a_triangle_and_the_last_takes_what_is_left(monkeypatch):
    net, given = classifier(), passages(32)
    course = fitting.Course(
        stages.classifier_groups(net), 0.01, 6, batch_size=8, factor=2.0, gradual=True
    )
    assert course.phases() == [(1, 1), (2, 1), (3, 1), (4, 3)]
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self: (rates.append([g["lr"] for g in self.param_groups]), step(self))[1],
    )
    fitting.fit(net, stages.label_nlls, given, given, course, 0)

    # 4 steps an epoch; by hand, with a cut at 0.1 and a ratio of 32: the first step of a phase
    # has 1 / 32 of the peak, a step at progress p > 0.1 has (1 + 31 (1 - p) / 0.9) / 32
    def height(p):
        return 1 / 32 if p == 0 else (1 + 31 * (1 - p) / 0.9) / 32

    short = [height(i / 4) for i in range(4)]
    # the second step of twelve is still on the way up
    long = [1 / 32, (1 + 31 * (1 / 12) / 0.1) / 32, *(height(i / 12) for i in range(2, 12))]
    assert [r[-1] for r in rates] == pytest.approx([0.01 * h for h in [*short * 3, *long]])
    assert all(r == pytest.approx([r[-1] / 8, r[-1] / 4, r[-1] / 2, r[-1]]) for r in rates)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_groups_start_to_learn_from_the_top_one_an_epoch(epochs):
    net, given = classifier(input_dropout=0.2, weight_dropout=0.2), passages()
    groups = stages.classifier_groups(net)
    before, output = snapshot(groups), net.encoder.model.decoder.bias.detach().clone()
    course = fitting.Course(groups, 0.01, epochs, batch_size=8, gradual=True)
    history = fitting.fit(net, stages.label_nlls, given, given, course, 0)
    assert history.epoch == epochs  # else an earlier epoch's weights would be seen below
    assert moved(groups, before) == [i >= 4 - epochs for i in range(4)]
    assert torch.equal(net.encoder.model.decoder.bias, output)
    assert all(p.requires_grad for p in net.parameters())


def test_words_are_scored_as_by_each_passage_alone():
    model, given = language_model().eval(), passages(6)
    where = np.array([4, 0, 5])
    got = stages.word_nlls(model, given, where)
    wanted = []
    for i in where:
        row = torch.from_numpy(given.tokens[i])[None]
        log_probs, _ = model(row[:, :-1])
        wanted.append(-log_probs[0].gather(1, row[0, 1:, None])[:, 0])
    torch.testing.assert_close(got, torch.cat(wanted), atol=1e-5, rtol=1e-5)


def test_the_mean_nll_weighs_every_word_alike():
    model, given = language_model().eval(), passages(20)
    each = [stages.word_nlls(model, given, np.array([i])) for i in range(20)]
    wanted = torch.cat(each).mean().item()
    got = fitting.mean_nll(model, stages.word_nlls, given, batch_size=3)
    assert got == pytest.approx(wanted, rel=1e-5)


def test_the_best_epochs_weights_are_kept():
    net, given, other = classifier(), passages(24), passages(24, seed=9)
    other.labels[:] = (other.labels + 1) % 3  # what is learned is wrong here, so it gets worse
    course = fitting.Course([list(net.parameters())], 0.03, 20, batch_size=8)
    said = []
    fitted = fitting.fit(net, stages.label_nlls, given, other, course, 0, said.append)
    assert fitted.epoch < 20
    assert fitted.held_out[fitted.epoch - 1] == min(fitted.held_out)
    assert fitting.mean_nll(net, stages.label_nlls, other) == pytest.approx(min(fitted.held_out))
    assert len(said) == len(fitted.held_out) == 20


def test_a_run_that_diverges_is_stopped_and_its_rate_named():
    net, given = classifier(), passages()
    with torch.no_grad():
        net.encoder.model.embedding.weight[:] = torch.nan
    course = fitting.Course([list(net.head.parameters())], 0.5, 1)
    with pytest.raises(FloatingPointError, match=r"nan after epoch 1 at learning rate 0\.5"):
        fitting.fit(net, stages.label_nlls, given, given, course, 0)


def test_a_small_network_learns_to_tell_the_kinds_apart_by_all_three_stages():
    corpus = made_up_corpus()
    made = task.make(corpus)
    plan = stages.Plan(language_epochs=2, language_lr=0.02, epochs=12, lr=0.05, batch_size=8)
    model = language_model()
    before = fitting.mean_nll(model, stages.word_nlls, made.test)
    stages.fit_language_model(model, made, plan, 0, lambda _: None)
    # words without any use of their order: ln 45 = 3.8 at first, frequencies alone give less
    assert fitting.mean_nll(model, stages.word_nlls, made.test) < before - 0.1
    net = Classifier(LanguageModelEncoder(model), 8, len(made.names))
    stages.fit_classifier(net, made, plan, 0, lambda _: None)
    right = fitting.predictions(net, made.test) == made.test.labels
    # 48 passages of three kinds: by chance a third is right, with a standard error of 0.07
    assert right.mean() > 0.9


# --- what is measured ---------------------------------------------------------------------------


def test_predictions_are_each_passages_highest_score():
    net, given = classifier().eval(), passages(11)
    alone = [net(*given.batch(np.array([i]))).argmax().item() for i in range(11)]
    assert fitting.predictions(net, given, batch_size=4).tolist() == alone


def test_with_a_passage_an_article_the_standard_error_is_that_of_a_mean():
    values = (np.arange(200) % 4 == 0).astype(float)
    wanted = np.sqrt(0.25 * 0.75 / 200)
    # 2,000 draws know a standard deviation to 1 / sqrt(4,000) = 1.6%
    assert comparison.standard_error(values, np.arange(200)) == pytest.approx(wanted, rel=0.06)


def test_passages_that_are_right_together_do_not_make_the_standard_error_smaller():
    values = (np.arange(200) % 4 == 0).astype(float)
    single = comparison.standard_error(values, np.arange(200))
    nine = comparison.standard_error(np.repeat(values, 9), np.repeat(np.arange(200), 9))
    assert nine == pytest.approx(single)


# --- word vectors -------------------------------------------------------------------------------


def without_gensim(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "gensim"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gensim", None)


def test_without_gensim_it_is_said_what_to_install(monkeypatch):
    without_gensim(monkeypatch)
    with pytest.raises(MissingGensimError, match="pip install gensim"):
        skip_gram([np.arange(9)], 9, 4)


def test_words_of_the_same_contexts_get_similar_vectors():
    pytest.importorskip("gensim")
    rng = np.random.default_rng(0)
    # two topics of five words, 200 words at a time; word 10 never occurs
    text = np.concatenate([5 * (i % 2) + rng.integers(5, size=200) for i in range(60)])
    got, again = (skip_gram([text[:6000], text[6000:]], 11, 8, 20, seed=1) for _ in range(2))
    vectors = nn.functional.normalize(got.weight[:10], dim=1)
    likeness = vectors @ vectors.T
    within = torch.cat([likeness[:5, :5], likeness[5:, 5:]]).mean()
    assert within > likeness[:5, 5:].mean() + 0.2
    assert not got.weight.requires_grad
    assert got.weight[10].abs().sum() == 0
    assert torch.equal(got.weight, again.weight)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path):
    settings = {"embedding_size": 8, "hidden_size": 10, "num_layers": 2, "cutoffs": []}
    model = LanguageModel(len(VOCAB), **settings)
    checkpoint.save(tmp_path / "weights.safetensors", model, settings)
    return tmp_path / "weights.safetensors"


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(command.corpora, "load", lambda name: made_up_corpus())


def test_a_quick_try_prints_every_step_and_keeps_every_result(weights, made_up, tmp_path, capsys):
    out = tmp_path / "out"
    status = command.main(
        ["--quick", "--seeds", "2", "--checkpoint", str(weights), "--out", str(out)]
    )
    printed = capsys.readouterr().out
    assert status == 0
    shown = printed[printed.index("What each step buys") :]
    assert all(name in shown for name in comparison.STEPS)
    assert "…" not in shown  # all of it fits 80 columns
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [(r["step"], r["seed"]) for r in rows] == [
        (name, seed) for seed in range(2) for name in comparison.STEPS
    ]
    floor = next(r for r in rows if r["step"] == "majority class")
    assert floor["accuracy"] == pytest.approx(1 / 3)  # as many passages of each kind
    assert "33.3 ± 0.0" in shown  # in every article alike
    assert all(r["plan"]["longest"] == command.QUICK.longest for r in rows)


def test_without_gensim_the_other_steps_are_run(weights, made_up, tmp_path, monkeypatch, capsys):
    without_gensim(monkeypatch)
    out = tmp_path / "out"
    arguments = ["--quick", "--checkpoint", str(weights), "--out", str(out)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "skip-gram vectors + head: not run: word vectors need gensim" in printed
    assert printed.count("not run") == 2
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert ["accuracy" in r for r in rows] == [
        name != "skip-gram vectors + head" for name in comparison.STEPS
    ]


def test_the_same_seed_gives_the_same_result(weights):
    corpus = made_up_corpus()
    setting = comparison.Setting(
        corpus, task.make(corpus), weights, command.QUICK, 0, lambda _: None
    )
    for step in (comparison.from_nothing, comparison.three_stages):
        answers = []
        for _ in range(2):
            torch.manual_seed(0)
            answers.append(step(setting))
        assert answers[0].fitted == answers[1].fitted
        assert (answers[0].labels == answers[1].labels).all()


def test_a_setting_is_a_flag_that_wins_over_the_preset():
    _, plan = command.parse(["--quick", "--lr", "0.5", "--scratch-epochs", "9"])
    assert (plan.lr, plan.scratch_epochs, plan.longest) == (0.5, 9, command.QUICK.longest)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--seeds", "0"],
        ["--speed", "3"],
        ["--lr", "fast"],
        ["--batch-size", "1"],
        ["--epochs", "0"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.parse(wrong)
    assert stopped.value.code == 2
    assert wrong[0].strip("-").replace("-", "_") in capsys.readouterr().err


def test_without_weights_it_is_said_where_they_come_from(made_up, tmp_path, capsys):
    arguments = ["--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert command.main(arguments) == 2
    assert "make reference" in capsys.readouterr().err


def test_weights_of_something_else_are_refused(weights, made_up, tmp_path, capsys):
    (tmp_path / "text").write_text("no tensors")
    settings = {"embedding_size": 8, "hidden_size": 10, "cutoffs": []}
    checkpoint.save(tmp_path / "other", LanguageModel(len(VOCAB) + 1, **settings), settings)
    for name in ("text", "other"):
        arguments = ["--checkpoint", str(tmp_path / name), "--out", str(tmp_path / "out")]
        assert command.main(arguments) == 2
        assert f"a LanguageModel of {len(VOCAB)} words" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(weights, made_up, capsys):
    assert command.main(["--checkpoint", str(weights), "--out", str(weights)]) == 2
    assert str(weights) in capsys.readouterr().err


def test_a_corpus_without_sections_is_an_error_and_no_traceback(weights, monkeypatch, capsys):
    monkeypatch.setattr(command.corpora, "load", lambda name: numbers())
    assert command.main(["--checkpoint", str(weights)]) == 3
    assert "'numbers' has 0 passages" in capsys.readouterr().err
