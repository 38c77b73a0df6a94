"""`python -m tests.variants`: every right variant, the checks that it failed, and its NLLs.

In brackets stands what its weights are worth by the oracle. All are graded in the best sandbox that
holds here, or in the tier that is named: `python -m tests.variants T3`. Exit status 1 where one
lost something.
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from autograder import sandbox

from .variation import NLLS, PROBLEMS, Variants, lost


def main() -> int:
    """Grade all variants and print the table; return an exit status."""
    console, losers = Console(), 0
    table = Table("variant", "failed checks", *(f"{name} NLL, points" for name in PROBLEMS), "lost")
    with tempfile.TemporaryDirectory() as temporary:
        variants, box = Variants(Path(temporary)), sandbox.choose(*sys.argv[1:])
        for i, variant in enumerate(track(variants.all, "variants", console=Console(stderr=True))):
            worth = variants.worth(variant.weights, variant.beam)
            result = variants.graded(variant, Path(temporary) / str(i), box)
            problems = [check for check in result.checks if check.id in PROBLEMS]
            failed = [c.id for c in result.checks if c.passed is False and c not in problems]
            told = lost(variant, result, worth)
            losers += bool(told)
            nlls = [result.metrics.get(name) for name in NLLS]
            table.add_row(
                Text(variant.name),
                Text(", ".join(failed) or "none", style="red" if failed else "green"),
                *(
                    f"{nlls[k]} ({worth.nlls[k]:.4f}), {problems[k].score:g} ({worth.points[k]:g})"
                    for k in (0, 1)
                ),
                Text("\n".join(told) or "nothing", style="red" if told else "green"),
            )
    console.print(table)
    console.print(f"{losers} of {len(variants.all)} lost something, on {box.tier}")
    return 1 if losers else 0


if __name__ == "__main__":
    sys.exit(main())
