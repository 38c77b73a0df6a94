"""Checks of `LanguageModelDataLoader`, read off the batches it made of the made-up corpus."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..run import Observation, Step
from . import made_up
from .verdict import Problem, Verdict, examine, group, told

STEPS = [
    Step("data_loader.import", "import", ("data_loader",)),
    Step("data_loader.epochs", "loader", seconds=20, needs=("data_loader.import",)),
]
EPOCHS = ("shuffled0", "shuffled1", "shuffled2")


@dataclass(frozen=True)
class Text:
    """The made-up corpus: for each id the word after it in its article (-1: none), and the rest."""

    order: np.ndarray
    article: np.ndarray
    after: np.ndarray
    before: np.ndarray

    @classmethod
    def made_up(cls) -> "Text":
        """Read the made-up corpus."""
        order, lengths = made_up.articles(), made_up.lengths()
        article = np.empty_like(order)
        article[order] = np.repeat(np.arange(len(lengths)), lengths)
        after, before = np.full_like(order, -1), np.full_like(order, -1)
        inside = article[order[:-1]] == article[order[1:]]
        after[order[:-1][inside]] = order[1:][inside]
        before[order[1:][inside]] = order[:-1][inside]
        return cls(order, article, after, before)


@dataclass(frozen=True)
class Epoch:
    """One epoch's batches, brought to the kit's axis order [batch, time]."""

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    text: Text

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All inputs and targets, flat, less those inputs that end an article."""
        flat = np.concatenate([x.ravel() for x in self.inputs])
        next_word = np.concatenate([y.ravel() for y in self.targets])
        inside = self.text.after[flat] >= 0
        return flat[inside], next_word[inside]

    @cached_property
    def count(self) -> int:
        """How many inputs there are."""
        return sum(x.size for x in self.inputs)

    @cached_property
    def longest(self) -> int:
        """Length of the longest window."""
        return max(x.shape[1] for x in self.inputs)

    @cached_property
    def article_order(self) -> tuple[int, ...]:
        """Articles in the order in which the rows, one after the other, come to them."""
        rows: list[list[np.ndarray]] = []
        for batch in self.inputs:
            rows += [[] for _ in range(len(batch) - len(rows))]
            for row, part in zip(rows, batch, strict=False):
                row.append(part)
        stream = self.text.article[np.concatenate([part for row in rows for part in row])]
        _, first = np.unique(stream, return_index=True)
        return tuple(stream[np.sort(first)].tolist())

    @cached_property
    def reads_on(self) -> float:
        """Share of neighbours along time that are neighbours in the text."""
        return _follows(self.inputs, self.text, axis=1)


def _follows(batches: list[np.ndarray], text: Text, axis: int) -> float:
    good = total = 0
    for x in batches:
        x = x if axis == 1 else x.T
        wanted, seen = text.after[x[:, :-1]], x[:, 1:]
        inside = wanted >= 0
        good += int((wanted == seen)[inside].sum())
        total += int(inside.sum())
    return good / total if total else 0.0


def read_epoch(seen: Observation, name: str, text: Text) -> Epoch:
    """Read one epoch's batches off an observation; either axis order and flat targets are right.

    Raises:
        Problem: there are none, or they are not pairs of whole-number arrays of one size.
    """
    if f"{name}.endless" in seen.values:
        raise Problem(
            f"an epoch did not end within {made_up.MAX_BATCHES} batches of a corpus of "
            f"{len(text.order)} words",
            "__iter__ has to stop when the rows are used up: advance by the window's length",
        )
    inputs, targets = [], []
    for i in range(made_up.MAX_BATCHES):
        x, y = seen.arrays.get(f"{name}.inputs.{i}"), seen.arrays.get(f"{name}.targets.{i}")
        if x is None or y is None:
            break
        inputs.append(_ids(x, "inputs", len(text.order)))
        targets.append(_ids(y, "targets", len(text.order)))
        if inputs[-1].ndim != 2 or x.size != y.size or x.size == 0:
            raise Problem(
                f"a batch has inputs of shape {x.shape} and targets of shape {y.shape}",
                "inputs are [batch, time] or [time, batch], and there is one target an input",
            )
    if not inputs:
        raise Problem(
            "an epoch gave no batches at all",
            "yield a pair for each window; is the loop's range empty for a small corpus?",
        )
    if _follows(inputs, text, axis=0) > _follows(inputs, text, axis=1):
        pairs = [(x.T, _like(y, x).T) for x, y in zip(inputs, targets, strict=True)]
    else:
        pairs = [(x, _like(y, x)) for x, y in zip(inputs, targets, strict=True)]
    return Epoch([x for x, _ in pairs], [y for _, y in pairs], text)


def _ids(array: np.ndarray, side: str, vocabulary: int) -> np.ndarray:
    ids = whole(array)
    if ids is None:
        raise Problem(
            f"{side} hold numbers that are not whole", "batches are word ids: torch.LongTensor"
        )
    if ids.size and not (ids.min() >= 0 and ids.max() < vocabulary):
        raise Problem(
            f"{side} hold {ids.min()} to {ids.max()}, where ids are 0 to {vocabulary - 1}",
            "yield the ids of the dataset as they are",
        )
    return ids


def whole(numbers: np.ndarray) -> np.ndarray | None:
    """Return whole numbers as int64, whatever their type is; None if one of them is not whole."""
    with np.errstate(invalid="ignore"):  # NaN and what int64 cannot hold come out unequal
        ids = numbers.astype(np.int64)
    return ids if np.array_equal(ids, numbers) else None


def _like(targets: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    if targets.shape == inputs.shape:
        return targets
    if targets.shape == inputs.T.shape:
        return targets.T
    return targets.reshape(inputs.shape)


def iterates(seen: Observation) -> str:
    """Batches are pairs of whole numbers, epochs end, and shuffle=False works too."""
    text = Text.made_up()
    epochs = [read_epoch(seen, name, text) for name in (*EPOCHS, "ordered")]
    kinds = {told(seen.values.get(f"{EPOCHS[0]}.{side}.type")) for side in ("inputs", "targets")}
    return f"{len(epochs[0].inputs)} batches an epoch, of {' and '.join(sorted(kinds))}"


def targets(seen: Observation) -> str:
    """Each target is the word after its input."""
    epoch = _first(seen)
    words, found = epoch.pairs
    text = epoch.text
    right = text.after[words] == found
    if right.all():
        return f"all {len(words)} targets are the word after their input"
    wrong, guess = words[~right], found[~right]
    twice = text.after[np.maximum(text.after[wrong], 0)]
    causes = [
        (
            guess == wrong,
            "they are the inputs themselves",
            "a model learns nothing from these: take targets one word further in the stream, "
            "stream[1:] beside stream[:-1], before you cut it into rows",
        ),
        (
            (guess == twice) & (twice >= 0),
            "they are two words ahead",
            "the shift is made twice: once in the stream and once in the window",
        ),
        (
            guess == text.before[wrong],
            "they are the word before",
            "the shift goes the wrong way: inputs are stream[:-1], targets stream[1:]",
        ),
    ]
    share = f"{len(wrong)} of {len(words)} targets are not the word after their input"
    for match, what, hint in causes:
        if match.mean() > 0.5:
            raise Problem(f"{share}: {what}", hint)
    if len(wrong) < len(words) / 4:
        raise Problem(
            f"{share}; most others are right",
            "the last word of a row or window often goes wrong: shift the whole stream before you "
            "cut it into rows, rather than each window by itself",
        )
    raise Problem(
        share,
        "cut inputs and targets out of the same stream, in the same way, one word apart",
    )


def order(seen: Observation) -> str:
    """Along time each row reads on in the text, and there are batch_size rows."""
    epoch = _first(seen)
    if epoch.reads_on < 0.95:
        raise Problem(
            f"of neighbours in a row only {epoch.reads_on:.0%} are neighbours in the text, along "
            "either axis",
            "shuffle articles, never words; to lay a stream out in rows use "
            "view(batch_size, -1), and transpose that if you want [time, batch]",
        )
    sizes = [len(x) for x in epoch.inputs]
    if any(size != made_up.BATCH_SIZE for size in sizes[:-1]) or sizes[-1] > made_up.BATCH_SIZE:
        raise Problem(
            f"batches have {max(sizes)} rows of text, each {epoch.longest} words, where batch_size "
            f"is {made_up.BATCH_SIZE}",
            "batch and time are mixed up: view(batch_size, -1) makes rows that read on; "
            "view(-1, batch_size) would deal neighbouring words to different rows",
        )
    return f"{sizes[0]} rows that read on, windows of up to {epoch.longest} words"


def coverage(seen: Observation) -> str:
    """No tokens are lost but a last partial batch."""
    text = Text.made_up()
    epochs = [read_epoch(seen, name, text) for name in EPOCHS]
    tokens = len(text.order)
    for epoch in epochs:
        allowed = (made_up.BATCH_SIZE + 1) * (epoch.longest + 1)
        if epoch.count < tokens - allowed:
            raise Problem(
                f"an epoch holds {epoch.count} of {tokens} words",
                "only what does not fill a last batch may be left out: join all articles into one "
                "stream first, then cut it",
            )
    union = np.unique(np.concatenate([x.ravel() for e in epochs for x in e.inputs]))
    if len(union) < 0.85 * tokens:
        raise Problem(
            f"in three epochs only {len(union)} of {tokens} words ever came up",
            "the same part of the corpus is left out each time: look at where windows start",
        )
    return f"{epochs[0].count} of {tokens} words in an epoch"


def shuffle(seen: Observation) -> str:
    """Articles come in a new order each epoch."""
    text = Text.made_up()
    orders = [read_epoch(seen, name, text).article_order for name in EPOCHS]
    if orders[0] == orders[1] == orders[2]:
        if orders[0] == tuple(range(made_up.ARTICLES)):
            raise Problem(
                "with shuffle=True the articles stand in the dataset's order in every epoch",
                "draw a permutation of the articles at the start of __iter__",
            )
        raise Problem(
            "the articles stand in the same new order in every epoch",
            "they are shuffled once only: do it at the start of __iter__, not in __init__",
        )
    return "a new order of articles each epoch"


def untouched(seen: Observation) -> str:
    """The caller's dataset is as it was."""
    after = seen.arrays.get("after")
    if after is None or not np.array_equal(after, made_up.articles()):
        raise Problem(
            "after three epochs the dataset that was handed in is changed",
            "np.random.shuffle works in place: shuffle a permutation of indices, or a copy",
        )
    return "the dataset is as it was"


def _first(seen: Observation) -> Epoch:
    return read_epoch(seen, EPOCHS[0], Text.made_up())


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge what the data loader did."""
    return [
        importable("data_loader", "LanguageModelDataLoader", seen, missing),
        *group(
            "data_loader",
            seen["data_loader.epochs"],
            [
                ("iterates", "gives pairs of word ids", iterates),
                ("order", "rows read on in the text", order),
                ("targets", "targets are one word ahead", targets),
                ("coverage", "no words are lost", coverage),
                ("shuffle", "articles are shuffled anew each epoch", shuffle),
                ("untouched", "the dataset is not changed", untouched),
            ],
        ),
    ]


def importable(
    module: str, name: str, seen: dict[str, Observation], missing: tuple[str, ...]
) -> Verdict:
    """Check that a module is there, can be imported and holds its class."""
    title = f"{module}.py holds {name}"
    if module in missing:
        return Verdict(
            f"{module}.import",
            title,
            False,
            f"there is no {module}.py",
            "hand it in beside the other three, at the top of the hand-in or one folder down",
        )
    return examine(f"{module}.import", title, seen[f"{module}.import"], lambda _: "it does")
