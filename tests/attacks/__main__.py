"""`python -m tests.attacks`: every attack on every tier, stopped or won.

On T5, where nothing is confined, what an attack wins is its proof; one that is stopped there too is
held by a first line. `--only WORDS` runs those whose names hold the words, `--tiers T1,T3` some
tiers, `--forked` in forks of a warm process. Exit status 1 where one wins on T1 to T3, or proves
nothing on T5.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from .attack import Attacks, load, unproved
from .world import FORKED, TIERS, missing

STOPPED, WON = Text("stopped", style="green"), Text("won", style="bold red")


def main() -> int:
    """Run attacks and print the table; return an exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--only", default="", help="part of an attack's name")
    parser.add_argument("--tiers", default=",".join(TIERS))
    parser.add_argument("--forked", action="store_true", help="workers are forks of a warm process")
    options = parser.parse_args()
    console = Console()
    if problem := missing():
        console.print(problem)
        return 2
    tiers = [tier + FORKED * options.forked for tier in options.tiers.split(",")]
    rows = [attack for attack in load() if options.only in attack.name]
    table, won, failed = Table("attack", *tiers), dict.fromkeys(tiers, 0), []
    with tempfile.TemporaryDirectory() as folder:
        attacks = Attacks(Path(folder))
        try:
            for attack in track(rows, "attacks", console=Console(stderr=True)):
                cells = []
                for tier in tiers:
                    found = attacks.findings(attack, tier)
                    won[tier] += bool(found)
                    cells.append(WON if found else STOPPED)
                    if bad := unproved(attack, found) if tier.startswith("T5") else found:
                        failed += [(tier, attack.name, line) for line in bad]
                table.add_row(Text(attack.name), *cells)
        finally:
            attacks.close()
    console.print(table)
    for tier in tiers:
        console.print(f"{tier}: {len(rows) - won[tier]} of {len(rows)} stopped, {won[tier]} won")
    for tier, name, line in failed:
        console.print(Text(f"{tier} {name}: {line[-500:]}"))
    return 1 if any(not tier.startswith("T4") for tier, _, _ in failed) else 0


if __name__ == "__main__":
    sys.exit(main())
