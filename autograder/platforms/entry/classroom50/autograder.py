"""Classroom 50 runs this in a student's checkout; kit.tar lies beside it in the bundle.

Its exit status is the grader's: 0 for a grade, else the infrastructure failed. The bundle can be
read by anyone who knows its address, so that only public fixtures are graded on here.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CORPUS = "wikitext2"


def main() -> int:
    """Unpack the kit, grade the working folder, write result.json there."""
    checkout = Path.cwd()
    (checkout / "result.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(__file__).with_name("kit.tar")) as kit:
            kit.extraction_filter = getattr(tarfile, "data_filter", None)  # older Pythons have none
            kit.extractall(folder)
        command = [sys.executable, "-m", "autograder", "platform", "classroom50", str(checkout)]
        command += ["--corpus", CORPUS, "--out", str(checkout / "result.json")]
        home = Path.home() / ".cache" / "lm-kit"
        places = {"LMKIT_VENV": str(home / "venv"), "LMKIT_DATA": str(home / "data")}
        environment = places | os.environ
        return subprocess.run(command, cwd=Path(folder) / "kit", env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
