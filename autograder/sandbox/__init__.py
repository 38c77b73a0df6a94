"""Where a submission's process is started: five tiers, one file a way, the best that holds here.

| tier | where | how | official |
| --- | --- | --- | --- |
| T1 | Linux, root | bubblewrap, a user of its own, seccomp | yes |
| T2 | Linux, a user with namespaces | bubblewrap in a user namespace, seccomp | yes |
| T3 | a container, root | a user of its own, Landlock, seccomp | yes |
| T4 | Linux, a user without namespaces | Landlock, seccomp | no |
| T5 | anything | an ordinary process | no |

`choose` tries a tier before it is used (`canary.py`). README.md here says what each one stops.
"""

import platform
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ..faults import Fault
from .process import LIMITS, Job, Process

if TYPE_CHECKING:
    from .warm import ForkServer

__all__ = ["TIERS", "Chosen", "Job", "Process", "Sandbox", "SandboxError", "choose", "practice"]

TIERS = ("T1", "T2", "T3", "T4", "T5")


class SandboxError(Fault):
    """No sandbox that will do can be had: a fault of the grader's own."""


class Sandbox(Protocol):
    """One way of starting a submission's process."""

    tier: str
    official: bool
    about: str

    def missing(self) -> str:
        """Return what it lacks here, with what to do about it; "" where nothing is known."""

    def launch(self, job: Job, forks: "ForkServer | None" = None) -> Process:
        """Start a worker, as a fork where there is something to fork from."""


@dataclass(frozen=True)
class Chosen:
    """A sandbox that was tried. `over` are the better tiers, with why they were not taken."""

    box: Sandbox
    stopped: int
    over: dict[str, str]
    forks: "ForkServer | None" = None

    @property
    def tier(self) -> str:
        """T1 to T5."""
        return self.box.tier

    @property
    def official(self) -> bool:
        """Whether a grade from it may be official."""
        return self.box.official

    def launch(self, job: Job) -> Process:
        """Start a worker."""
        return self.box.launch(job, self.forks)

    def facts(self) -> dict[str, str]:
        """Return what a result says about it."""
        facts = {"tier": self.tier, "sandbox": self.box.about}
        facts["worker"] = "a new process" if self.forks is None else "a fork of a warm process"
        if self.tier != "T5":
            facts["canary"] = f"{self.stopped} of {self.stopped} attempts stopped"
            facts["limits"] = (
                f"{LIMITS.memory >> 20} MiB beside libraries, {LIMITS.file >> 20} MiB a file, "
                f"{LIMITS.scratch >> 20} MiB of files, no processes, no network"
            )
        if sys.platform == "linux":
            facts["kernel"] = platform.release()
        return facts


def tiers() -> list[Sandbox]:
    """Return all tiers, the best first."""
    from .plain import Plain

    if sys.platform != "linux":
        return [Plain()]
    from .bubblewrap import Bubblewrap
    from .confined import Confined

    return [Bubblewrap(True), Bubblewrap(False), Confined(True), Confined(False), Plain()]


def practice() -> Chosen:
    """Return T5, which is there everywhere."""
    return Chosen(tiers()[-1], 0, {})


def choose(
    wanted: str = "auto", official: bool = False, forks: "ForkServer | None" = None
) -> Chosen:
    """Return the best tier that holds here.

    Args:
        wanted: "auto", or a tier that has to be this one.
        official: whether only tiers will do whose grades may be official.
        forks: what workers are to be forked from. They are new processes all the same where a
            fork does not hold.

    Raises:
        SandboxError: none does; the message says why for each, and what to do.
    """
    over: dict[str, str] = {}
    for box in tiers():
        if wanted not in ("auto", box.tier) or (official and not box.official):
            continue
        if problem := box.missing():
            over[box.tier] = problem
            continue
        if box.tier == "T5":
            return Chosen(box, 0, over, None if forks is None or forks.missing() else forks)
        from . import canary

        found = canary.findings(box)
        if not found:
            cold = Chosen(box, canary.COUNT, over)
            if (
                forks is None
                or forks.missing()
                or canary.findings(warm := replace(cold, forks=forks))
            ):
                return cold
            return warm
        over[box.tier] = "; ".join(found)
    if not over:
        over[wanted] = "it is not for this system, or not for official grades"
    why = "\n".join(f"  {tier}: {reason}" for tier, reason in over.items())
    what = "official grading" if official else "this"
    raise SandboxError(
        f"no sandbox will do for {what}:\n{why}\n"
        "Mend one of these, or grade for practice only with --practice."
    )
