"""The ledger: nothing is lost or doubled, whatever ends the one who writes it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.classroom.ledger import Graded, Ledger, LedgerError, read_only
from autograder.result import Check, Result

OF = Graded("s" * 64, "f" * 64, "r" * 64, "v" * 64, True)


def of(number: int) -> Graded:
    return replace(OF, submission=f"{number:064d}")


def result(score: float = 50.0, digest: str = "s" * 64) -> Result:
    check = Check("prediction", "Prediction", True, "seen", "", score, 50.0)
    return Result("ann", digest, "numbers", "f" * 64, "r" * 64, True, (check,))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_what_is_written_is_read_again(path):
    with Ledger(path) as ledger:
        ledger.add(of(1), result(10))
        ledger.add(of(2), fault="no sandbox")
        assert ledger.keys == {of(1).key}
    with Ledger(path) as ledger:
        assert ledger[of(1).key].result == result(10)
        assert ledger[of(1).key].of == of(1)
        assert (ledger[of(2).key].result, ledger[of(2).key].fault) == (None, "no sandbox")
        assert ledger.keys == {of(1).key}
        assert of(2).key in ledger
        assert of(3).key not in ledger
    assert len(path.read_bytes().splitlines()) == 2


def test_a_later_line_takes_the_place_of_an_earlier_one_which_stays(path):
    with Ledger(path) as ledger:
        ledger.add(of(1), fault="busy")
        ledger.add(of(1), result(10))
        ledger.add(of(1), result(20))
        assert ledger[of(1).key].result.score == 20
    with Ledger(path) as ledger:
        assert ledger[of(1).key].result.score == 20
        assert ledger.keys == {of(1).key}
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("name", ["submission", "fixtures", "rubric", "versions"])
def test_a_key_depends_on_every_digest(name):
    assert replace(OF, **{name: "x"}).key != OF.key
    assert replace(OF, official=False).key != OF.key
    assert replace(OF).key == OF.key


@pytest.mark.parametrize("torn", [1, 40, -1])
def test_a_torn_last_line_is_cut_off_and_the_rest_stands(path, torn):
    with Ledger(path) as ledger:
        ledger.add(of(1), result(10))
        ledger.add(of(2), result(20))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + torn] if torn > 0 else whole[:torn])
    with Ledger(path) as ledger:
        assert ledger.keys == {of(1).key}
        ledger.add(of(2), result(30))
    with Ledger(path) as ledger:
        assert [ledger[of(n).key].result.score for n in (1, 2)] == [10, 30]
    assert path.read_bytes().startswith(whole[:first])


def test_a_line_that_is_no_ledgers_is_refused_and_nothing_is_changed(path):
    path.write_bytes(b'{"key": "a"}\nmy notes\n')
    with pytest.raises(LedgerError, match="line 2"):
        Ledger(path)
    assert path.read_bytes() == b'{"key": "a"}\nmy notes\n'


def test_a_second_writer_is_refused_while_there_is_one(path):
    with Ledger(path), pytest.raises(LedgerError, match="another run is writing"):
        Ledger(path)
    Ledger(path).close()


def test_a_writer_of_another_process_is_refused_until_it_is_dead(path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from autograder.classroom.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(LedgerError, match="another run is writing"):
            Ledger(path)
        other.kill()
    Ledger(path).close()


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_loses_no_line_and_leaves_no_half_of_one(path, monkeypatch, room):
    with Ledger(path) as ledger:
        ledger.add(of(1), result(10))
        before = path.read_bytes()
        write, left = os.write, [room]

        def full(descriptor: int, data: bytes) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = write(descriptor, data[: left[0]])
            left[0] -= count
            return count

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(LedgerError, match="No space left on device"):
                ledger.add(of(2), result(20))
        assert path.read_bytes() == before
        assert ledger.keys == {of(1).key}
        ledger.add(of(2), result(20))  # there is room again
    with Ledger(path) as ledger:
        assert [ledger[of(n).key].result.score for n in (1, 2)] == [10, 20]


def test_memory_holds_places_and_no_results(path):
    with Ledger(path) as ledger:
        big = replace(result(), notice="x" * 100_000)
        for number in range(20):
            ledger.add(of(number), big)
        assert sum(len(repr(value)) for value in vars(ledger).values()) < 10_000
        assert ledger[of(7).key].result == big


def test_a_ledger_in_use_can_be_read(path):
    with Ledger(path) as ledger:
        ledger.add(of(1), result(10))
        ledger.add(of(2), fault="busy")
        with path.open("ab") as file:
            file.write(b'{"key": "to')
        assert [record.fault for record in read_only(path)] == ["", "busy"]
    path.write_text("notes\n")
    with pytest.raises(LedgerError, match="no ledger"):
        list(read_only(path))


def test_each_line_is_json_of_its_own(path):
    with Ledger(path) as ledger:
        ledger.add(of(1), replace(result(), notice="two\nlines \u2028 and \x85"))
    (line,) = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["result"]["notice"] == "two\nlines \u2028 and \x85"
