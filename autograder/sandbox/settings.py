"""What `launcher.py` is told, and where the interpreter lies."""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .process import LIMITS, Job

# `parts` below which everything is the system's and shown anyway.
SYSTEM = Path("/usr")
LIBRARIES = ("torch", "nvidia", "triton")


def lacking() -> str:
    """Return what the launcher lacks here, "" if nothing."""
    if sys.platform != "linux":
        return "it needs Linux"
    try:
        import landlockpy  # noqa: F401 - only whether it is there
        import pyseccomp  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        return (
            f"a library is missing ({error}): pip install pyseccomp landlockpy, and the system's "
            "libseccomp (apt install libseccomp2)"
        )
    return ""


def launcher_settings(job: Job, user: int | None, **more: Any) -> dict[str, Any]:
    """Return the launcher's settings, without Landlock unless `more` names paths."""
    limits = {
        "AS": LIMITS.memory + libraries(),
        "FSIZE": LIMITS.file,
        "CPU": LIMITS.cpu_seconds,
        "NOFILE": LIMITS.descriptors,
        "CORE": 0,
    }
    if user is not None:  # counted by user: of one that others share it would count theirs
        limits["NPROC"] = LIMITS.threads
    return {
        "limits": limits,
        "user": user,
        "readable": None,
        "writable": [],
        "parent": None,
        **more,
    }


def prefixes() -> list[Path]:
    """Return the folders that hold the interpreter and its packages, those of the system apart."""
    folders = dict.fromkeys(Path(p).resolve() for p in (sys.base_prefix, sys.prefix))
    # The environment may be reached through a link, and that is how its interpreter is named.
    folders |= dict.fromkeys([Path(sys.base_prefix), Path(sys.prefix)])
    return [path for path in folders if not path.is_relative_to(SYSTEM)]


@cache
def libraries() -> int:
    """Return how many bytes of address space the libraries of torch may take, CUDA's among them."""
    total = 0
    for name in LIBRARIES:
        spec = find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            total += sum(path.stat().st_size for path in Path(folder).rglob("*.so*"))
    return total
