"""What the observations of a run mean: pure functions from observations to checks.

One file a class of the assignment. A check knows nothing of processes or files; it is handed what
a submission did (`run.Observation`) and says what was seen, what was expected and what to try.
"""

from ..run import Observation, Step
from . import data_loader, inference, language_model, regularization, trainer
from .made_up import arrays, settings
from .verdict import Verdict

ROOMS = (data_loader, language_model, trainer, inference)

__all__ = ["arrays", "ids", "judge", "settings", "steps"]


def steps(has_regularization: bool) -> list[Step]:
    """List what to ask of a submission, for the checks of its classes."""
    rooms = (*ROOMS, regularization) if has_regularization else ROOMS
    return [step for room in rooms for step in room.STEPS]


def judge(seen: dict[str, Observation], missing: tuple[str, ...]) -> list[Verdict]:
    """Judge all that was observed; `missing` names the modules that were not handed in."""
    verdicts = []
    for room in ROOMS:
        verdicts += room.judge(seen, missing)
    if regularization.STEPS[0].id in seen:
        verdicts += regularization.judge(seen)
    return verdicts


def ids() -> tuple[str, ...]:
    """Return the ids of all checks, in a report's order: those of a run in which nothing ran."""
    nothing = {step.id: Observation(step.id) for step in steps(has_regularization=True)}
    return tuple(verdict.id for verdict in judge(nothing, ()))
