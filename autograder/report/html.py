"""Renders a result as one self-contained page: no script, no font, no picture from elsewhere.

The template escapes everything; `view.py` and `clean` below have taken out what cannot be seen.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..files import atomic_write
from ..result import Result
from . import figures, view
from .scale import Scale, draw
from .text import line, plain

# What else stands on each problem's axis.
_REFERENCES = {
    "prediction": (("referee", "referee_prediction_nll"), ("guessing", "uniform_nll")),
    "generation": (("human text", "human_generation_nll"),),
}


def render(result: Result) -> str:
    """Return the page."""
    seen = view.of(result)
    return _environment().get_template("report.html.j2").render(
        view=seen,
        scales={problem.name: _scale(problem, result.metrics) for problem in seen.problems},
        figures=figures.table(result.metrics),
        samples=[
            {key: line(sample.get(key, ""), 600) for key in ("prompt", "generated", "human")}
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
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # A second lock: whatever is put out has been cleaned, or is a number or escaped already.
        finalize=lambda value: plain(value) if type(value) is str else value,
    )


def _scale(problem: view.Problem, metrics: dict[str, float]) -> Scale | None:
    references = [(name, metrics[key]) for name, key in _REFERENCES[problem.name] if key in metrics]
    return draw(problem.steps, problem.nll, problem.stderr, references)


def _facts(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """The small print: digests, environment, timing."""
    digests = [("fixtures", line(result.fixtures)), ("rubric", line(result.rubric))]
    environment = [(line(key), line(text)) for key, text in sorted(result.environment.items())]
    timing = [(line(key), figures.seconds(taken)) for key, taken in result.timing.items()]
    tables = [("Digests", digests), ("Environment", environment), ("Timing", timing)]
    return [(title, rows) for title, rows in tables if rows]
