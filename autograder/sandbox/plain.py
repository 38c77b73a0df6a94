"""T5, for any system: an ordinary process with a literal environment and a time-out.

It keeps a submission's accidents away from the grader. It is no defence against a hostile one,
which can read what its user may read: for practice on public fixtures.
"""

import os
from typing import TYPE_CHECKING

from .process import Job, Process, Program, begin, environment

if TYPE_CHECKING:
    from .warm import ForkServer


class Plain:
    """Starts workers as they are."""

    tier = "T5"
    official = False
    about = "an ordinary process"

    def missing(self) -> str:
        """Return what this tier lacks here: nothing, anywhere."""
        return ""

    def launch(self, job: Job, forks: "ForkServer | None" = None) -> Process:
        """Start the worker on a job."""
        env = environment(job.scratch, job.threads)
        for name in ("SYSTEMROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"):
            if name in os.environ:
                env[name] = os.environ[name]
        program = Program(job.worker, (job.inputs, job.submission), job.scratch, env)
        return Process(begin(program, forks))
