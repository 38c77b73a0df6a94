"""`python -m tests.mutants`: every mutant, the checks that failed, and the share named right.

Bold is the check that ought to name the bug; a tick says that it did, first and in the right words.
Exit status 1 where a mutant goes unseen or under 95 % are named right.
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from .mutation import Grader, failed, judge, load, named_right

WANTED = 0.95  # of the mutants named right


def main() -> int:
    """Run all mutants and print the matrix; return an exit status."""
    console, mutants = Console(), load()
    table = Table("mutant", "file", "failed checks, in a report's order", "named right")
    seen = right = 0
    with tempfile.TemporaryDirectory() as temporary:
        grader = Grader(Path(temporary) / "data")
        for i, mutant in enumerate(track(mutants, "mutants", console=Console(stderr=True))):
            folder = Path(temporary) / str(i)
            folder.mkdir()
            found = judge(mutant, folder, grader)
            named = named_right(mutant, found)
            ids = [check.id for check in failed(found)]
            seen += bool(ids)
            right += named
            marked = [Text(id, style="bold green" if id == mutant.check else "dim") for id in ids]
            table.add_row(
                mutant.name,
                mutant.file,
                Text(", ").join(marked) if ids else Text("none", style="bold red"),
                Text("✓", style="green") if named else Text(f"no: {mutant.check}", style="red"),
            )
    console.print(table)
    total = len(mutants)
    console.print(f"{seen} of {total} seen, {right} named right ({right / total:.0%})")
    return 0 if seen == total and right >= WANTED * total else 1


if __name__ == "__main__":
    sys.exit(main())
