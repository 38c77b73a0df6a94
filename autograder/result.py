"""The one object that a grading produces, and its JSON form `lm-kit/result/v1`.

Covered: the data, its totals, and writing it. Not covered: how it looks (`report/`).
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .files import atomic_write

SCHEMA = "lm-kit/result/v1"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    `passed` is None where the check was not run; `message` says what was seen and what was
    expected, `hint` what to try next. `group` is the class it belongs to.
    """

    id: str
    title: str
    passed: bool | None
    message: str = ""
    hint: str = ""
    score: float = 0.0
    max_score: float = 0.0
    seconds: float = 0.0

    @property
    def group(self) -> str:
        """The part before the dot, such as `data_loader`."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Flag:
    """Something that a person should look at; never a deduction by itself."""

    id: str
    message: str


@dataclass(frozen=True)
class Result:
    """A grading from start to end.

    `metrics` hold finite numbers only; `scales` the rubric's `[nll, points]` pairs of "prediction"
    and "generation", best first; `samples` prompts with the words generated after them ("prompt",
    "generated", "human"), public fixtures only; `notice` the banner over it all, or "";
    `receipt` the SHA-256 of "code" and of "weights", by which a student knows what was graded.
    """

    submission: str
    submission_digest: str
    corpus: str
    fixtures: str
    rubric: str
    official: bool
    checks: tuple[Check, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    scales: dict[str, list[list[float]]] = field(default_factory=dict)
    samples: tuple[dict[str, str], ...] = ()
    notice: str = ""
    receipt: dict[str, str] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """Points earned."""
        return round(sum(check.score for check in self.checks), 2)

    @property
    def max_score(self) -> float:
        """Points that could be earned."""
        return round(sum(check.max_score for check in self.checks), 2)

    def to_json(self) -> str:
        """Return the result as JSON text.

        Equal inputs give equal text, `timing` and each check's `seconds` apart.

        Raises:
            ValueError: a metric is not finite (JSON has no word for it; leave it out instead).
        """
        bad = [name for name, value in self.metrics.items() if not math.isfinite(value)]
        if bad:
            raise ValueError(f"metrics that are not finite: {', '.join(bad)}")
        fields = asdict(self)
        fields.update(schema=SCHEMA, score=self.score, max_score=self.max_score)
        return json.dumps(fields, indent=2, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Return the result that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            found = json.loads(text)
            if found.pop("schema") != SCHEMA:
                raise ValueError(f"no {SCHEMA}")
            totals = found.pop("score"), found.pop("max_score")
            found["checks"] = tuple(Check(**check) for check in found["checks"])
            found["flags"] = tuple(Flag(**flag) for flag in found["flags"])
            found["samples"] = tuple(found["samples"])
            result = cls(**found)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no {SCHEMA}: {error!r}") from error
        if (result.score, result.max_score) != totals:
            raise ValueError("its score is not the sum of its checks")
        return result

    def write(self, path: Path) -> None:
        """Write the JSON text, whole or not at all."""
        with atomic_write(path) as file:
            file.write(self.to_json().encode())
