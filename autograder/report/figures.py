"""Numbers as words: how each is written, and what each figure of a result means."""

import math
from dataclasses import dataclass

from .text import line


@dataclass(frozen=True)
class Figure:
    """A measured number: its name, its value as text, and a sentence on what it means."""

    name: str
    value: str
    meaning: str


_KNOWN: dict[str, tuple[str, str, str]] = {
    "prediction_nll": (
        "Prediction NLL",
        "nll",
        "Mean negative log likelihood of the next word under your model, in nats, less what the "
        "luck of the draw added. This one is graded. Lower is better.",
    ),
    "prediction_nll_stderr": (
        "its standard error",
        "error",
        "Another draw of prompts would move the NLL by about this much.",
    ),
    "prediction_nll_plain": (
        "Plain prediction NLL",
        "nll",
        "The mean on these prompts as it is. The grader's own model, whose NLL on all prompts is "
        "known, tells how much of it is luck.",
    ),
    "prediction_nll_plain_stderr": (
        "its standard error",
        "error",
        "Larger, because it holds that luck.",
    ),
    "prediction_ppl": (
        "Prediction perplexity",
        "ppl",
        "exp(NLL): your model is as unsure as if it chose evenly among this many words.",
    ),
    "generation_nll": (
        "Generation NLL",
        "nll",
        "Mean NLL of your generated words under the grader's own model, the referee.",
    ),
    "generation_nll_stderr": (
        "its standard error",
        "error",
        "Another draw of prompts would move the NLL by about this much.",
    ),
    "generation_distinct_2": (
        "Distinct word pairs",
        "share",
        "Different pairs of neighbouring words among all generated pairs. Near 0 means loops.",
    ),
    "generation_degenerate": (
        "Degenerate continuations",
        "share",
        "Share of continuations that go in a circle (at most half of their word pairs are "
        "different) or are nearly all <unk>: no text. Too many earn no points.",
    ),
    "generation_unk": (
        "Unknown words",
        "share",
        "Share of generated words that are <unk>, the stand-in for rare words.",
    ),
    "referee_prediction_nll": (
        "Referee's prediction NLL",
        "nll",
        "What the grader's own model reaches on the same prompts: a yardstick, not a threshold.",
    ),
    "human_generation_nll": (
        "Human text's NLL",
        "nll",
        "The words that people wrote after the same prompts, under the referee. Safe, likely "
        "words score lower than people do.",
    ),
    "uniform_nll": (
        "Uniform guessing",
        "nll",
        "ln V, the NLL of a model that knows nothing. A figure near it points to a bug.",
    ),
}


def number(value: float) -> str:
    """Points as a person writes them: 50, 87.5, 33.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def points(score: float, most: float) -> str:
    """`37.5 of 50`, or nothing where there is nothing to earn."""
    return f"{number(score)} of {number(most)}" if most > 0 else ""


def count(amount: int, noun: str) -> str:
    """`1 check`, `3 checks`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def nll(value: float) -> str:
    """Two digits after the point, the third where it is all there is."""
    return f"{value:.3f}" if 0 < abs(value) < 0.01 else f"{value:.2f}"


def perplexity(value: float) -> str:
    """Three digits that count, or a power of ten where there are too many to read."""
    if value >= 1e6:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa} × 10^{int(exponent)}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """`0.4 s`, `75 s`."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def ppl_of(metrics: dict[str, float], problem: str) -> float | None:
    """The perplexity that belongs to a problem's NLL, None where there is none to show."""
    given, value = metrics.get(f"{problem}_ppl"), metrics.get(f"{problem}_nll")
    if given is not None or value is None or value > 700:
        return given
    return math.exp(value)


_WRITE = {
    "nll": nll,
    "error": lambda value: f"± {nll(value)}",
    "ppl": perplexity,
    "share": lambda value: f"{100 * value:.1f} %",
}


def table(metrics: dict[str, float]) -> list[Figure]:
    """Every figure that was measured: the known ones in their order, then the others by name."""
    figures = [
        Figure(name, _WRITE[kind](metrics[key]), meaning)
        for key, (name, kind, meaning) in _KNOWN.items()
        if key in metrics
    ]
    others = sorted(set(metrics) - set(_KNOWN))
    return figures + [Figure(line(key), f"{metrics[key]:.4g}", "") for key in others]
