"""Flags of a model that learnt the hidden text by heart, by its NLLs of the next words.

Covered: an NLL that is too good, words known that are hard, hidden text that is easier for a model
than public text. A table of n-grams in the weights shows in all three, training on the hidden text
in the last. Not covered: who also learnt the public text that hidden text is compared with; a large
table of both still shows in the first two.

Each threshold stands with what was seen on 2026-11-21, on 20 hidden draws of WikiText-2's test
split. No false alarm came of the reference (9.8M parameters), a QRNN, a unigram, a bigram and a
Kneser-Ney 5-gram model; hits are on the reference with a table of the hidden text. `make calibrate`
measures the rates anew.
"""

import numpy as np

from .. import score
from ..result import Flag

# Perplexity 37. The best published model of WikiText-2 that stays as it is has 55.1, the best that
# goes on learning from the text it reads 38.6 (Melis et al. 2019), and both see all words before.
# On `numbers` a good model is all but certain. A table of half the text is always below this, one
# of a fifth never (NLL 3.9).
FLOOR = {"wikitext2": 3.6}

# A word is hard where the referee gives it a chance below 1 in 400, and known where the model gives
# it one above 1 in 3. If the referee's chances were right, at most e^-5 = 0.7 % of all words could
# be both, whatever the model (Markov's inequality). Seen: none with trained models, at most 0.2 %
# with the 5-gram model. A third of the words are hard; on `numbers`, none. A table of 10 % of the
# words was always found, of 5 % (0.25 nats gained) in 19 draws of 20, of 3 % in 10.
HARD, KNOWN = 6.0, 1.0
MOST_KNOWN = 0.01

# A gap as wide as this, in nats and in standard errors. Seen, in 100 comparisons each: at most 0.17
# and 2.7 with trained models, 0.48 and 3.95 with counting ones. A table of 15 % of the words was
# always found, of 10 % in 96 % of comparisons, of 5 % in 26 %. The reference trained on the hidden
# text (Adam, rate 0.001) was found in 20 % of 30 after half an epoch, in 73 % after one (NLL 4.50
# for 4.89), in all after two.
GAP, SURE = 0.25, 4.0
# Rows come in the order of the text, and those of one article go together.
STRETCHES = 16

ASK = "Ask how the weights were made, and make them again from the code that was handed in"


def implausible(nll: np.ndarray, corpus: str) -> Flag | None:
    """Flag an NLL that is better than anything published, float64 [rows]."""
    mean = float(nll.mean())
    if mean >= FLOOR.get(corpus, 0.0):
        return None
    return Flag(
        "prediction.implausible",
        f"NLL {mean:.2f} from 20 words of context, which is below {FLOOR[corpus]}: the best "
        "published model has 4.01 (perplexity 55.1) from all words before, and 3.65 (38.6) when it "
        f"goes on learning while it reads. Was it trained on the text that it is graded on? {ASK}",
    )


def confident(nll: np.ndarray, control: np.ndarray) -> Flag | None:
    """Flag a model that knows words which the referee finds hard: NLLs of both, float64 [rows]."""
    hard, both = (control >= HARD).mean(), is_known(nll, control).mean()
    if both <= MOST_KNOWN:
        return None
    return Flag(
        "prediction.confident",
        f"{hard:.0%} of the words are so hard that the referee gives them a chance below 1 in 400. "
        f"This model gives {both / hard:.0%} of those a chance above 1 in 3; honest ones do for at "
        f"most {MOST_KNOWN / hard:.0%}. A table of the text looks like this. {ASK}",
    )


def is_known(nll: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Say which words the referee finds hard and the model knows, bool [rows]."""
    return (control >= HARD) & (nll <= KNOWN)


def gap(
    nll: np.ndarray, control: np.ndarray, public_nll: np.ndarray, public_control: np.ndarray
) -> Flag | None:
    """Flag a model for which hidden text is easier than public text, more than for the referee.

    Args:
        nll: float64 [rows], the model's NLLs of hidden words, in the order of the text.
        control: float64 [rows], the referee's.
        public_nll: float64 [public rows], the model's NLLs of public words, in that order too.
        public_control: float64 [public rows], the referee's.
    """
    excess = gap_excess(nll, control, public_nll, public_control)
    if excess.value <= max(GAP, SURE * excess.stderr):
        return None
    return Flag(
        "prediction.gap",
        f"NLL {nll.mean():.2f} on hidden prefixes and {public_nll.mean():.2f} on public ones mixed "
        f"among them, where the referee has {control.mean():.2f} and {public_control.mean():.2f}. "
        f"So the hidden ones are {excess.value:.2f} ± {excess.stderr:.2f} too easy for this model; "
        f"for honest ones at most {GAP}, or {SURE:.0f} standard errors. Was it trained on the "
        f"hidden text? {ASK}",
    )


def gap_excess(
    nll: np.ndarray, control: np.ndarray, public_nll: np.ndarray, public_control: np.ndarray
) -> score.Mean:
    """Return by how much more than the referee a model is better on hidden than on public words."""
    hidden, public = _mean(control - nll), _mean(public_control - public_nll)
    return score.Mean(hidden.value - public.value, float(np.hypot(hidden.stderr, public.stderr)))


def _mean(rows: np.ndarray) -> score.Mean:
    return score.mean(np.array([part.mean() for part in np.array_split(rows, STRETCHES)]))
