"""`python -m autograder COMMAND`: the same commands as the Makefile's, for a machine without make.

Needs nothing but Python: the first call sets up `.venv` and goes on in it (`environment.py`).
"""

import sys

if sys.version_info < (3, 10):
    sys.exit(
        "This kit needs Python 3.10 or newer; this is {}.{}. Try another with make's "
        "PYTHON=python3.12, say.".format(*sys.version_info)
    )

from autograder import environment

if __name__ == "__main__":
    environment.enter(sys.argv[1:])
    from autograder import cli

    sys.exit(cli.main(sys.argv[1:]))
