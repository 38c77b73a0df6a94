"""The sandbox of tests alone: forks of a process that has torch imported, and no confinement."""

from dataclasses import replace
from functools import cache

from autograder import sandbox


@cache
def box() -> sandbox.Chosen:
    """Return the one that all tests share; a new process for each where there is no fork."""
    plain = sandbox.practice()
    try:
        from autograder.sandbox.warm import ForkServer
    except ImportError:  # Windows
        return plain
    return plain if ForkServer.missing() else replace(plain, forks=ForkServer())
