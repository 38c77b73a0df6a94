"""The list of what is fuzzed: one set of targets for the suite, for Hypothesis and for atheris."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from hypothesis import given
from hypothesis import strategies as st

from autograder.submission import MODULES

from . import archives, checkpoints, frames, reports, rubrics, verdicts
from .drawing import damaged


@dataclass(frozen=True)
class Target:
    """`check` has to hold for all that is drawn; `examples` take the suite a few seconds.

    Where `check` takes any bytes, `seeds` are valid ones, to be damaged; elsewhere atheris's bytes
    decide what is drawn.
    """

    check: Callable[..., None]
    examples: int
    drawn: tuple[st.SearchStrategy, ...] = ()
    seeds: tuple[bytes, ...] = ()

    def property(self) -> Callable[[], None]:
        """Return a new test that draws and checks."""
        return given(*(self.drawn or [damaged(self.seeds)]))(self.check)

    @cached_property
    def run(self) -> Callable[[bytes], object]:
        """Tries one input."""
        return self.check if self.seeds else self.property().hypothesis.fuzz_one_input


TARGETS = {
    "archive-members": Target(
        archives.take_members, 200, (archives.MEMBERS, st.sampled_from(archives.PACKINGS))
    ),
    "archive-bytes": Target(archives.read, 200, seeds=archives.SEEDS),
    "checkpoint-headers": Target(checkpoints.read, 100, (checkpoints.files(),)),
    "checkpoint-bytes": Target(checkpoints.read, 100, seeds=checkpoints.SEEDS),
    "frames": Target(frames.read, 120, (frames.frames(),)),
    "frame-bytes": Target(frames.read, 200, seeds=frames.SEEDS),
    "observations": Target(
        verdicts.judge_observations, 50, (st.data(), st.sets(st.sampled_from(MODULES)))
    ),
    "answers": Target(verdicts.mark_answers, 50, (st.data(), st.booleans())),
    "weights": Target(verdicts.judge_weights, 60, (st.data(),)),
    "rubric-values": Target(rubrics.read, 150, (rubrics.rubrics(),)),
    "rubric-bytes": Target(rubrics.read, 100, seeds=rubrics.SEEDS),
    "reports": Target(reports.show, 30, (reports.RESULTS,)),
}
