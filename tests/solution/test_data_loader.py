"""The loader: the drawn example, and what no epoch may lose or change."""

import numpy as np
import pytest
import torch
from data_loader import LanguageModelDataLoader


def articles(*lengths):
    out, start = np.empty(len(lengths), dtype=object), 0
    for i, n in enumerate(lengths):
        out[i] = np.arange(start, start + n, dtype=np.int64)
        start += n
    return out


def test_the_drawn_example_comes_out_as_drawn():
    # a b c d e f g | h i j k l m: one stream, two rows, windows of four
    loader = LanguageModelDataLoader(articles(7, 6), 2, shuffle=False, bptt=4)
    text = np.array(list("abcdefghijklm"))
    drawn = [("".join(text[x[r]]), "".join(text[y[r]])) for x, y in loader for r in range(2)]
    assert drawn == [("abcd", "bcde"), ("ghij", "hijk"), ("ef", "fg"), ("kl", "lm")]


def test_every_token_is_an_input_once_but_for_the_last_partial_batch():
    data = articles(*range(40, 60))
    tokens, rows = sum(map(len, data)), 7
    seen = torch.cat([x.flatten() for x, _ in LanguageModelDataLoader(data, rows)])
    assert len(seen.unique()) == len(seen) == (tokens - 1) // rows * rows


def test_targets_follow_their_inputs_in_the_stream_also_across_windows():
    x, y = zip(*LanguageModelDataLoader(articles(30, 50, 41), 3, bptt=6), strict=True)
    x, y = torch.cat(x, dim=1), torch.cat(y, dim=1)
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert torch.equal(y[:-1, -1], x[1:, 0])  # the end of a row is the start of the next


def test_articles_come_in_a_new_order_each_epoch_and_stay_whole():
    loader = LanguageModelDataLoader(articles(*[30] * 12), 1)
    orders = []
    for _ in range(3):
        row = torch.cat([x for x, _ in loader], dim=1)[0]
        starts = row[::30] // 30
        # 12 articles of 30 words less the last word: each stretch counts up by ones
        assert all(row[i + 1] == row[i] + 1 for i in range(len(row) - 1) if (i + 1) % 30)
        orders.append(tuple(starts.tolist()))
    assert len(set(orders)) == 3


def test_the_dataset_is_not_changed():
    data = articles(20, 30, 25)
    for _ in LanguageModelDataLoader(data, 2):
        pass
    assert all(np.array_equal(a, b) for a, b in zip(data, articles(20, 30, 25), strict=True))


def test_windows_vary_when_shuffled_and_are_fixed_otherwise():
    data = articles(4000)
    varied = {x.size(1) for x, _ in LanguageModelDataLoader(data, 2)}
    fixed = [x.size(1) for x, _ in LanguageModelDataLoader(data, 2, shuffle=False, bptt=70)]
    assert len(varied) > 5
    assert fixed == [70] * 28 + [39]


def test_too_small_a_corpus_is_refused_with_the_mend():
    with pytest.raises(ValueError, match="smaller batch_size"):
        LanguageModelDataLoader(articles(5), 5)
