"""Whatever stands in rubric.toml, it is a rubric by which every NLL has points, or is refused."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from autograder import checks, rubric, score

GOOD = """
[numbers.prediction]
steps = [[0.6, 50], [2.6, 0]]
[numbers.generation]
steps = [[0.6, 40.5], [0.8, 40], [2.6, 0.0]]
max_degenerate = 0.25
[checks]
"data_loader.targets" = 5
"""
SEEDS = (GOOD.encode(), rubric.DEFAULT.read_bytes())
TOKENS = st.sampled_from(
    ("nan", "inf", "-inf", "1e400", "9" * 400, "-0.0", "5e-324", "1e308", "true", '"x"', "[]")
) | st.sampled_from(("1979-05-27", "0x10", "1_000", "{}", "[[1, 2]]", "[" * 3000, "''' '''"))
NUMBERS = (st.floats(0, 12) | st.floats() | st.integers(-5, 60)).map(repr)
KEYS = ("steps", "more", '""')
FALLING = st.lists(st.tuples(st.floats(0, 12), st.floats(0, 60)), min_size=2, max_size=5).map(
    lambda steps: list(
        zip(sorted(n for n, _ in steps), sorted((p for _, p in steps), reverse=True), strict=True)
    )
)
STEPS = FALLING | st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5)


@st.composite
def rubrics(draw: st.DrawFn) -> bytes:
    """Draw a rubric whose layout is right and whose values may be anything."""
    lines = []
    for problem in ("prediction", "generation"):
        steps = ", ".join(f"[{nll}, {points}]" for nll, points in draw(STEPS))
        lines += [f"[numbers.{problem}]", f"steps = [{steps}]"]
        if draw(st.booleans()):
            lines.append(f"max_degenerate = {draw(NUMBERS | TOKENS)}")
        if draw(st.integers(0, 9)) == 0:
            lines.append(f"{draw(st.sampled_from(KEYS))} = {draw(TOKENS)}")
    lines.append("[checks]")
    for id in draw(
        st.lists(st.sampled_from((*checks.ids(), "weights.load", "no.such")), max_size=2)
    ):
        lines.append(f'"{id}" = {draw(NUMBERS | TOKENS)}')
    return "\n".join(lines).encode()


def read(data: bytes) -> None:
    """Load any bytes as a rubric."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "rubric.toml"
        path.write_bytes(data)
        try:
            rules = rubric.load("numbers", path)
        except rubric.RubricError:
            return
    assert all(np.isfinite(points) and points >= 0 for points in rules.checks.values())
    assert set(rules.checks) <= {*checks.ids(), "weights.load"}
    for problem in (rules.prediction, rules.generation):
        at = [nll for nll, _ in problem.steps]
        tried = [-1.0, *at, *(nll + d for nll in at for d in (-1e-4, 1e-4)), np.mean(at), 100.0]
        earned = [score.points(nll, problem.steps) for nll in sorted(tried)]
        assert earned == sorted(earned, reverse=True)
        assert all(0 <= points <= round(problem.max_points, 2) for points in earned)
        assert 0 <= problem.max_degenerate <= 1
