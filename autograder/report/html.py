"""Renders a result as one self-contained page: no script, no font, no picture from elsewhere.

The template escapes everything; what acts or hides is taken out of all that it puts out.
"""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..files import atomic_write
from ..result import Result
from . import figures, view
from .scale import Scale, draw
from .text import plain

_DIGEST = re.compile(r"[0-9a-f]{32,}")
# What else stands on each problem's axis.
_REFERENCES = {
    "prediction": (("referee", "referee_prediction_nll"), ("guessing", "uniform_nll")),
    "generation": (("human text", "human_generation_nll"),),
}


def render(result: Result) -> str:
    """Return the page."""
    seen = view.of(result)
    template = environment().get_template("report.html.j2")
    return template.render(
        view=seen,
        scales={problem.name: _scale(problem, result.metrics) for problem in seen.problems},
        figures=figures.table(result.metrics),
        samples=[
            {key: sample.get(key, "") for key in ("prompt", "generated", "human")}
            for sample in result.samples
        ],
        facts=_facts(result),
        number=figures.number,
        points=figures.points,
        nll=figures.nll,
    )


def write(result: Result, path: Path) -> None:
    """Write the page, whole or not at all."""
    with atomic_write(path) as file:
        file.write(render(result).encode())


@cache
def environment(*folders: Path) -> Environment:
    """Templates of `folders` and of the report; whatever they put out is escaped and cleaned."""
    return Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever is put out is cleaned here; what is no `str` is a number, or came from a macro.
        finalize=lambda value: plain(value) if type(value) is str else value,
    )


def _scale(problem: view.Problem, metrics: dict[str, float]) -> Scale | None:
    references = [(name, metrics[key]) for name, key in _REFERENCES[problem.name] if key in metrics]
    earned = problem.group.score if problem.group is not None else None
    return draw(problem.steps, problem.nll, problem.stderr, earned, references)


def _facts(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """The small print: digests, environment, timing."""
    made = [
        ("submission", result.submission_digest),
        *result.receipt.items(),
        ("fixtures", result.fixtures),
        ("rubric", result.rubric),
    ]
    digests = [(name, _short(digest)) for name, digest in made if digest]
    environment = [(key, _short(text)) for key, text in sorted(result.environment.items())]
    timing = [(key, figures.seconds(taken)) for key, taken in result.timing.items()]
    tables = [("Digests", digests), ("Environment", environment), ("Timing", timing)]
    return [(title, rows) for title, rows in tables if rows]


def _short(text: str) -> str:
    """Sixteen digits of a digest, which results.json has whole; other text as it is."""
    return f"{text[:16]}…" if _DIGEST.fullmatch(text) else text
