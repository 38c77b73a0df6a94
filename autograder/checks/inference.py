"""Checks of `TestLanguageModel` with an untrained model, whose right behaviour needs no skill."""

import numpy as np

from ..run import Observation, Step
from . import made_up
from .data_loader import importable, whole
from .verdict import NotRun, Problem, Verdict, group

BUILD = "language_model.build"
STEPS = [
    Step("inference.import", "import", ("inference",)),
    Step("inference.prediction", "prediction_checks", needs=("inference.import", BUILD)),
    Step("inference.generation", "generation_checks", needs=("inference.import", BUILD)),
]
# Two ways of computing one score differ by rounding only: sums over a few hundred features,
# batched differently, at worst in the 8 bits of bfloat16. Relative to how much a word's score
# differs from prompt to prompt: an untrained model's log-probabilities do by a thousandth part.
RTOL = 2e-3
# The rounding of the scores themselves, constant and all; a sum in float32 loses a few bits more.
FLOAT32, FLOAT16, BFLOAT16 = 2.0**-18, 2.0**-10, 2.0**-7


def shape(seen: Observation) -> str:
    """Prediction gives finite float scores [batch, vocabulary]."""
    scores = _scores(seen)
    if scores.dtype.kind != "f":
        raise Problem(
            "prediction returned whole numbers",
            "return the scores of all words, not the id of the best one",
        )
    if (scores > 0).all() and np.allclose(scores.sum(axis=1, dtype=np.float64), 1, atol=1e-3):
        raise Problem(
            "each row of prediction sums to 1: these are probabilities",
            "return raw scores, or log-probabilities: the grader takes the softmax itself, and of "
            "probabilities it is almost uniform (an NLL between 9.41 and 10.41 on WikiText-2)",
        )
    return f"finite scores of shape {scores.shape}"


def repeatable(seen: Observation) -> str:
    """The same input gives the same scores."""
    scores, again = _scores(seen), _like(seen, "again")
    if not _close(scores, again):
        raise Problem(
            f"two calls with the same input differ by up to {_distance(scores, again):.3g}",
            "switch dropout off with model.eval(), and keep no hidden state from one call to the "
            "next",
        )
    return "two calls agree"


def rows(seen: Observation) -> str:
    """Each row's scores depend on that row alone."""
    scores, flipped, one = _scores(seen), _like(seen, "reversed_rows"), seen.arrays.get("one_row")
    if not _close(scores, flipped[::-1]):
        raise Problem(
            "with the rows in reversed order, the scores are not the same in reversed order: "
            f"they differ by up to {_distance(scores, flipped[::-1]):.3g}",
            "rows and time steps are probably mixed up: nn.LSTM takes [time, batch] unless "
            "batch_first=True; use transpose, not view or reshape, to swap axes",
        )
    if one is None or one.size != scores.shape[1] or not _close(scores[:1], one.reshape(1, -1)):
        raise Problem(
            "a row predicted alone gets other scores than among others",
            "no row may see another: look at the axes, and at batch normalisation",
        )
    return "rows do not influence each other"


def context(seen: Observation) -> str:
    """Scores depend on the last word, and on those before it."""
    scores = _scores(seen)
    if _same(scores, _like(seen, "other_last")):
        raise Problem(
            "with another last word the scores stay the same",
            "take the scores of the last time step: out[:, -1] for [batch, time, vocabulary], "
            "out[-1] for [time, batch, vocabulary]",
        )
    if _same(scores, _like(seen, "other_context")):
        raise Problem(
            "with other words before the last one the scores stay the same",
            "hand the model the whole prefix, so that the recurrent state builds up over it",
        )
    return "all words of the prefix count"


def words(seen: Observation) -> str:
    """Generation gives int64 [batch, forward] ids, the new words only."""
    _words(seen)
    return f"{made_up.FORWARD} new words a row"


def repeats(seen: Observation) -> str:
    """Greedy generation is repeatable."""
    made, again = _words(seen), seen.arrays.get("again")
    if again is None or again.shape != made.shape or not np.array_equal(made, again):
        raise Problem(
            "two calls with the same prompts generate different words",
            "greedy decoding takes argmax, it does not sample; call model.eval() first",
        )
    return "two calls agree"


def greedy(seen: Observation) -> str:
    """Each word is the best one after all before it, or the whole beats greedy (beam search)."""
    made = _words(seen)
    along = [seen.arrays.get(f"along{t}") for t in range(made.shape[1])]
    best = [seen.arrays.get(f"greedy{t}") for t in range(made.shape[1])]
    if any(a is None or a.shape != _wanted() or not np.isfinite(a).all() for a in along + best):
        raise NotRun("prediction gave no scores to compare with")
    rank = np.stack([_rank(a, made[:, t]) for t, a in enumerate(along)], axis=1)
    if (rank == 0).all():
        return "each word is the one that prediction scores best"
    own = sum(_log_prob(a, made[:, t]) for t, a in enumerate(along))
    top = sum(_log_prob(g, g.argmax(axis=1)) for g in best)
    if (own >= top - sum(map(_tolerance, along))).all():
        return "as probable as greedy decoding, or more (beam search)"
    first, rest = float((rank[:, 0] == 0).mean()), float((rank[:, 1:] == 0).mean())
    if first == 1:
        raise Problem(
            f"the first new word is the best one, but of the later ones only {rest:.0%} are",
            "feed each new word back, together with the hidden state (or the whole prefix). If you "
            "do, does the model look ahead, at words after the one that it scores?",
        )
    if (rank == made_up.vocabulary() - 1).mean() > 0.5:
        raise Problem(
            "most words are those with the lowest score", "argmax, not argmin, of the scores"
        )
    raise Problem(
        f"only {float((rank == 0).mean()):.0%} of the words are those that prediction scores best "
        "after the same words",
        "take argmax over the scores of the last time step, and read the whole prompt first",
    )


def _wanted() -> tuple[int, int]:
    return len(made_up.prompts()), made_up.vocabulary()


def _scores(seen: Observation) -> np.ndarray:
    return checked_scores(seen.arrays.get("scores"), *_wanted())


def checked_scores(scores: np.ndarray | None, rows: int, vocabulary: int) -> np.ndarray:
    """Return scores that can be graded: float32 [rows, vocabulary], all finite.

    Raises:
        Problem: they are not.
    """
    if scores is None:
        raise Problem("prediction returned nothing", "return the scores of the next word")
    if scores.shape != (rows, vocabulary):
        hint = "return one row of scores a prompt: [batch, vocabulary]"
        if scores.ndim == 3:
            hint = "return the last time step only: out[:, -1] for [batch, time, vocabulary]"
        elif scores.shape == (vocabulary, rows):
            hint = "the axes are swapped: return [batch, vocabulary], not its transpose"
        elif scores.ndim == 2 and len(scores) == rows:
            hint = f"the vocabulary has {vocabulary} words; take its size from vocab_size"
        raise Problem(
            f"prediction returned shape {scores.shape}, where {(rows, vocabulary)} is expected",
            hint,
        )
    if scores.dtype.kind == "f" and not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(axis=1).sum())
        kind = "NaN" if np.isnan(scores).any() else "infinite"
        raise Problem(
            f"{bad} of {rows} rows of scores hold {kind} numbers",
            "training may have diverged (lower the learning rate, clip gradients); for "
            "log-probabilities use log_softmax rather than log(softmax)",
        )
    return scores


def checked_words(words: np.ndarray | None, rows: int, forward: int, vocabulary: int) -> np.ndarray:
    """Return generated ids that can be graded: int64 [rows, forward], all in the vocabulary.

    Raises:
        Problem: they are not.
    """
    if words is None:
        raise Problem("generation returned nothing", "return the ids of the new words")
    if words.shape != (rows, forward):
        hint = "return the new words only, one row a prompt: [batch, forward]"
        if words.ndim == 3:
            hint = "these look like scores: return the ids, scores.argmax(dim=-1)"
        elif words.ndim == 2 and len(words) == rows and words.shape[1] > forward:
            hint = "leave the prompt out: return the new words only"
        elif words.ndim == 2 and len(words) == rows:
            hint = f"{forward} words were asked for: is the first or the last one lost?"
        elif words.shape == (forward, rows):
            hint = "the axes are swapped: return [batch, forward]"
        raise Problem(
            f"generation returned shape {words.shape}, where {(rows, forward)} is expected", hint
        )
    ids = whole(words)
    if ids is None:
        raise Problem(
            "generation returned numbers that are not whole", "return word ids, not scores"
        )
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise Problem(
            f"generation returned ids from {ids.min()} to {ids.max()}, where 0 to "
            f"{vocabulary - 1} exist",
            "return ids of this vocabulary: argmax over the axis of words, not of rows or time",
        )
    return ids


def _words(seen: Observation) -> np.ndarray:
    rows, vocabulary = _wanted()
    return checked_words(seen.arrays.get("words"), rows, made_up.FORWARD, vocabulary)


def _like(seen: Observation, name: str) -> np.ndarray:
    array = seen.arrays.get(name)
    if array is None or array.shape != _wanted():
        raise NotRun("prediction's shape changes from call to call")
    return array


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and _distance(a, b) <= _tolerance(a)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return _distance(a, b) <= 1e-6 * max(1e-6, float(np.abs(a).max()))


def _tolerance(scores: np.ndarray) -> float:
    """How far rounding may move one of these scores."""
    exact = scores.astype(np.float64)
    spread = np.abs(exact - exact.mean(axis=0)).max()
    return max(1e-9, RTOL * float(spread) + _resolution(scores) * float(np.abs(exact).max()))


def _resolution(scores: np.ndarray) -> float:
    """The relative rounding of the precision that the scores were in before they came here."""
    if scores.dtype != np.float32:
        return FLOAT32
    if not (np.ascontiguousarray(scores).view(np.uint32) & 0xFFFF).any():
        return BFLOAT16
    with np.errstate(over="ignore"):  # what float16 cannot hold comes out unequal
        half = np.array_equal(scores.astype(np.float16), scores)
    return FLOAT16 if half else FLOAT32


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def _rank(scores: np.ndarray, words: np.ndarray) -> np.ndarray:
    """How many words score higher than the chosen one, beyond what rounding explains; [rows]."""
    tolerance = _tolerance(scores)
    scores = scores.astype(np.float64)
    chosen = scores[np.arange(len(words)), words][:, None]
    return (scores > chosen + tolerance).sum(axis=1)


def _log_prob(scores: np.ndarray, words: np.ndarray) -> np.ndarray:
    scores = scores.astype(np.float64)
    top = scores.max(axis=1)
    total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return scores[np.arange(len(words)), words] - total


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge what prediction and generation did."""
    prediction = [
        ("shape", "prediction gives scores", shape),
        ("repeatable", "prediction is repeatable", repeatable),
        ("rows", "prediction keeps rows apart", rows),
        ("context", "prediction reads the whole prefix", context),
    ]
    generation = [
        ("words", "generation gives new word ids", words),
        ("repeats", "generation is repeatable", repeats),
        ("greedy", "generation is greedy, or better", greedy),
    ]
    return [
        importable("inference", "TestLanguageModel", seen, missing),
        *group("inference", seen["inference.prediction"], prediction),
        *group("inference", seen["inference.generation"], generation),
    ]
