"""What every room's tests share: the project on the path, and WikiText-2 where it is at hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # so that a bare `pytest` finds the rooms too
    sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def wikitext2_source() -> Path:
    """WIKITEXT2, or the folder shared beside the project; skips the test where neither is."""
    given = os.environ.get("WIKITEXT2")
    source = Path(given).expanduser() if given else ROOT.parent / "shared" / "wikitext-2"
    if not given and not source.exists():
        pytest.skip("needs WikiText-2: set WIKITEXT2 to its folder or zip")
    return source


@pytest.fixture(scope="session")
def wikitext2(wikitext2_source: Path, tmp_path_factory: pytest.TempPathFactory):
    """The WikiText-2 corpus, encoded once a session into a cache of its own."""
    from autograder import corpus

    data = tmp_path_factory.mktemp("wikitext2")
    return corpus.load("wikitext2", data=data, wikitext2=wikitext2_source, progress=False)
