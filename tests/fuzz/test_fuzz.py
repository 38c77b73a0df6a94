"""Every property of `make fuzz`, on a bounded number of examples, the same ones each time."""

import re
import tarfile

import pytest
from hypothesis import HealthCheck, Phase, settings

from autograder import tar
from tests.fuzz import __main__ as longer
from tests.fuzz.targets import TARGETS, Target

BOUNDED = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False,
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_property(target):
    settings(max_examples=target.examples, **BOUNDED)(target.property())()


def test_a_reader_that_is_broken_is_found_out(monkeypatch):
    monkeypatch.setattr(tar, "FILES", tar.FILES + tarfile.LNKTYPE)
    with pytest.raises(AssertionError):
        settings(max_examples=400, phases=[Phase.generate], **BOUNDED)(
            TARGETS["archive-members"].property()
        )()


@pytest.mark.parametrize("fails", [False, True])
def test_the_longer_run_says_how_many_and_where_what_failed_lies(
    tmp_path, monkeypatch, capsys, fails
):
    def check(data: bytes) -> None:
        assert not (fails and len(data) == 3)

    monkeypatch.setattr(longer, "OUT", tmp_path)
    monkeypatch.setattr(longer, "TARGETS", {"planted": Target(check, 1, seeds=(b"abcd",))})
    monkeypatch.setattr(longer, "has_atheris", lambda: False)
    monkeypatch.setattr("sys.argv", ["fuzz", "--seconds", "0.5"])
    assert longer.main() == int(fails)
    told, saved = capsys.readouterr().out, list((tmp_path / "planted").iterdir())
    assert re.search(r"planted +[\d,]+ inputs, +[\d,]+ a second: ", told)
    if fails:
        assert f"FAILED, the input is in {saved[0]}" in told
        assert re.search(r"data=b['\"]", saved[0].read_text())
    else:
        assert saved == []
        assert int(re.search(r"([\d,]+) inputs", told)[1].replace(",", "")) >= longer.BATCH
