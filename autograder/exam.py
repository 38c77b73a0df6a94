"""What a hand-in is graded against; one serves a whole class.

Covered: corpus, fixtures, referee and rubric, and what is computed from them alone.
Not covered: a hand-in.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import rubric
from .corpus import Corpus
from .fixtures import FixtureError, Fixtures
from .flags import known
from .flags.known import Known

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from .referee import Referee


@dataclass(frozen=True)
class Exam:
    """Fixtures of a corpus, who judges, and what is given for what; `notice` is the banner."""

    corpus: Corpus
    fixtures: Fixtures
    referee: "Referee"
    rules: rubric.Rubric
    notice: str = ""

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        fixtures: Fixtures,
        referee: "Referee",
        notice: str = "",
        rubric_path: Path = rubric.DEFAULT,
    ) -> "Exam":
        """Return the exam by a file of points and thresholds.

        Raises:
            Fault: no grade can be given: the rubric is broken, or the fixtures are of another
                corpus.
        """
        rules = rubric.load(corpus.name, rubric_path)
        if fixtures.corpus != corpus.digest:
            raise FixtureError(f"these fixtures are of another corpus than {corpus.name}")
        return cls(corpus, fixtures, referee, rules, notice)

    @cached_property
    def known(self) -> Known | None:
        """The public prefixes that are mixed among hidden ones, None where none are hidden."""
        if self.fixtures.public:
            return None
        return known.draw(self.corpus, self.fixtures, self.referee)

    @cached_property
    def human_nll(self) -> np.ndarray:
        """The referee's NLLs of the words that stand in the text, float64 [prompts, forward]."""
        return self.referee.word_nll(self.fixtures.generation, self.fixtures.human)
