"""How often each flag is raised: on honest systems, where it is false, and on planted cheats.

A cheat is planted by changing what comes out of an honest system: next words from a table of the
graded text, continuations that are that text, copies of training text, circles, `<unk>`. The flags'
thresholds are set from these rates; `make calibrate` prints them. Not covered: weights trained on
the graded text, which takes longer; `learnt.py` has the figures of one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..corpus import UNK, Corpus, Split
from ..fixtures import FORWARD, Fixtures
from ..result import Flag
from ..rubric import Rubric
from . import IDS, known, of_generation, of_prediction

if TYPE_CHECKING:  # importing these brings torch in
    from ..referee import Referee
    from ..systems import System

CONTEXT = 5  # words that a table looks the next one up by
SHARES = (1.0, 0.5, 0.2)
PREDICTION = tuple(flag for flag in IDS if flag.startswith("prediction."))
SEED = 11785

Change = Callable[[Fixtures, np.ndarray], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]  # of hidden and of public words


@dataclass(frozen=True)
class Cheat:
    """A change to an honest system's NLLs or words, and the flags that it should raise."""

    name: str
    flags: tuple[str, ...]
    nll: Change | None = None
    words: Change | None = None


@dataclass(frozen=True)
class Rate:
    """In how many of `draws` a flag was raised: a false alarm, or a hit on a cheat it is for."""

    flag: str
    system: str
    cheat: bool
    draws: int
    raised: int


def rates(
    corpus: Corpus,
    referee: "Referee",
    rules: Rubric,
    drawn: Iterable[Fixtures],
    honest: Sequence["System"],
    cheats: Sequence[Cheat],
) -> list[Rate]:
    """Count the flags of honest systems, and of cheats those that they should raise.

    Args:
        corpus: the corpus.
        referee: that corpus' referee.
        rules: its rubric.
        drawn: hidden fixtures, one draw after the other.
        honest: systems of which every flag is a false alarm; the cheats change what comes out of
            the first. The human continuations are none of them: those are what one flag is for.
        cheats: from `planted`.
    """
    seen: dict[tuple[bool, str, str], list[bool]] = {}
    for hidden in drawn:
        block = known.draw(corpus, hidden, referee)
        public = replace(hidden, prediction=block.prediction, next_word=block.next_word)
        human_nll = referee.word_nll(hidden.generation, hidden.human)
        for cheat, name, ids, nll, words in outputs(hidden, public, honest, cheats):
            found: tuple[Flag, ...] = ()
            if nll is not None:
                found += of_prediction(nll[0], hidden, corpus, (nll[1], block.control))
            if words is not None:
                bound = rules.generation.max_degenerate
                found += of_generation(words, human_nll, hidden, corpus, bound)
            for flag in ids:
                raised = any(one.id == flag for one in found)
                seen.setdefault((cheat, name, flag), []).append(raised)
    return [
        Rate(flag, name, cheat, len(each), sum(each)) for (cheat, name, flag), each in seen.items()
    ]


def outputs(
    hidden: Fixtures, public: Fixtures, honest: Sequence["System"], cheats: Sequence[Cheat]
) -> Iterator[tuple[bool, str, tuple[str, ...], Pair | None, np.ndarray | None]]:
    """Give of each system and cheat: whether it cheats, name, flags, NLLs and words."""
    made = []
    for system in honest:
        nll = (system.nll(hidden), system.nll(public)) if system.nll else None
        made.append((nll, system.words(hidden)))
        ids = tuple(flag for flag in IDS if nll or flag not in PREDICTION)
        yield False, system.name, ids, *made[-1]
    nll, words = made[0]
    for cheat in cheats:
        both = (cheat.nll(hidden, nll[0]), cheat.nll(public, nll[1])) if cheat.nll else None
        yield True, cheat.name, cheat.flags, both, cheat.words and cheat.words(hidden, words)


def table(found: Sequence[Rate]) -> str:
    """Write the rates as Markdown tables, one of false alarms and one of hits."""
    lines = []
    for cheat, head in ((False, "honest system"), (True, "planted cheat")):
        rows = [rate for rate in found if rate.cheat == cheat]
        if not rows:
            continue
        ids = [flag for flag in IDS if any(rate.flag == flag for rate in rows)]
        lines += ["", f"| {head} | {' | '.join(ids)} |", "| --- " * (len(ids) + 1) + "|"]
        for name in dict.fromkeys(rate.system for rate in rows):
            its = {r.flag: f"{r.raised} of {r.draws}" for r in rows if r.system == name}
            lines.append(f"| {name} | {' | '.join(its.get(flag, '') for flag in ids)} |")
    return "\n".join(lines).strip()


def planted(corpus: Corpus, split: str) -> list[Cheat]:
    """Make the cheats for hidden fixtures of `split`."""
    rng = np.random.default_rng(SEED)
    cheats = []
    for share in SHARES:
        change = table_of(corpus.split(split), share, rng)
        cheats.append(Cheat(f"table of {share:.0%} of the text", PREDICTION, nll=change))
    for share in SHARES:
        change = partly(lambda drawn: drawn.human, share)
        cheats.append(Cheat(f"{share:.0%} hidden words", ("generation.human",), words=change))
    for share in SHARES[:2]:
        change = partly(lambda drawn: passages(corpus.train, drawn.generation), share)
        cheats.append(Cheat(f"{share:.0%} training text", ("generation.copied",), words=change))
    for period in (1, 2, 3, 4):
        change = partly(looping(period), 0.5)
        cheats.append(Cheat(f"50% circles of {period}", ("generation.loops",), words=change))
    if UNK in corpus.vocab:
        unknown = corpus.vocab.index(UNK)
        change = partly(lambda drawn: np.full_like(drawn.human, unknown), 1.0)
        cheats.append(Cheat(f"all {UNK}", ("generation.unknown",), words=change))
    return cheats


def table_of(text: Split, share: float, rng: np.random.Generator) -> Change:
    """Look next words up in a table of a share of a text; where it has none, ask the system.

    As with a real one, the words that it looks them up by may stand elsewhere too, before another
    word, so it leaves a hundredth of the probability to the system.
    """
    ids = text.ids.astype(np.int64)
    places = np.arange(CONTEXT, len(ids))
    places = places[rng.random(len(places)) < share]
    after = {ids[i - CONTEXT : i].tobytes(): ids[i] for i in places}

    def change(drawn: Fixtures, nll: np.ndarray) -> np.ndarray:
        contexts = drawn.prediction[:, -CONTEXT:].astype(np.int64)
        told = np.array([after.get(row.tobytes(), -1) for row in contexts])
        p = np.exp(-nll)
        return -np.log(np.where(told < 0, p, 0.01 * p + 0.99 * (told == drawn.next_word)))

    return change


def partly(other: Callable[[Fixtures], np.ndarray], share: float) -> Change:
    """Take a share of the continuations from `other`."""

    def change(drawn: Fixtures, words: np.ndarray) -> np.ndarray:
        taken = np.random.default_rng(SEED).random(len(words)) < share
        return np.where(taken[:, None], other(drawn), words)

    return change


def passages(text: Split, prompts: np.ndarray) -> np.ndarray:
    """Copy what stands behind the longest end of each prompt that the text holds, [rows, 10]."""
    out = np.empty((len(prompts), FORWARD), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        places = np.arange(prompts.shape[1], len(text) - FORWARD)
        for back in range(1, prompts.shape[1] + 1):
            fit = places[text.ids[places - back] == prompt[-back]]
            if not len(fit):
                break
            places = fit
        out[row] = text.ids[places[0] : places[0] + FORWARD]
    return out


def looping(period: int) -> Callable[[Fixtures], np.ndarray]:
    """Repeat the last `period` words of each prompt."""
    return lambda drawn: drawn.generation[:, np.arange(FORWARD) % period - period]
