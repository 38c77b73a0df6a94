"""Whatever a hand-in is called and says, the reports show text that neither hides nor acts."""

import io
import json
import unicodedata

from hypothesis import strategies as st
from rich.console import Console

from autograder import report
from autograder.report import html
from autograder.result import Check, Flag, Result

from .drawing import TEXT

CHECKS = st.builds(
    Check,
    id=st.sampled_from(("data_loader.order", "trainer.loss", "submission.read", "weights.load")),
    title=TEXT,
    passed=st.sampled_from((True, False, None)),
    message=TEXT,
    hint=TEXT,
)
SAMPLES = st.fixed_dictionaries(dict.fromkeys(("prompt", "generated", "human"), TEXT))
RESULTS = st.builds(
    Result,
    submission=TEXT,
    submission_digest=st.just("d" * 64),
    corpus=st.just("numbers"),
    fixtures=st.just("f"),
    rubric=st.just("r"),
    official=st.booleans(),
    checks=st.lists(CHECKS, max_size=3).map(tuple),
    flags=st.lists(st.builds(Flag, st.just("copied"), TEXT), max_size=1).map(tuple),
    samples=st.lists(SAMPLES, max_size=1).map(tuple),
    notice=TEXT,
    environment=st.dictionaries(st.sampled_from(("python", "platform")), TEXT),
)


def show(result: Result) -> None:
    """JSON, terminal and page."""
    assert json.loads(result.to_json())["submission"] == result.submission
    shown = io.StringIO()
    report.show(result, Console(file=shown, width=100))
    page = html.render(result)
    for text in (shown.getvalue(), page):
        kinds = {unicodedata.category(c) for c in set(text) - {"\n"}}
        assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn"}
        text.encode()
    assert "<script" not in page
    assert "<img" not in page
