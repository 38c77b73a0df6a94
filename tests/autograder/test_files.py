"""files.py: whole files or none, and a lock that dies with its holder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autograder.files import OWN, atomic_write, locked, temporary_folder

ROOT = Path(__file__).resolve().parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_holds_the_bytes_and_nothing_else_is_left(tmp_path):
    with atomic_write(tmp_path / "a b.bin") as file:
        file.write(b"x\r\n\0")
    assert (tmp_path / "a b.bin").read_bytes() == b"x\r\n\0"
    assert names(tmp_path) == ["a b.bin"]


def test_text_is_utf8_with_line_ends_as_written(tmp_path):
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_temporary_one(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_two_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "a"
    with atomic_write(path) as first:
        first.write(b"first" * 1000)
        with atomic_write(path) as second:
            second.write(b"second" * 1000)
    assert path.read_bytes() == b"first" * 1000  # the one that ended last
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_permissions_follow_the_umask_like_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_another_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'ab'"), atomic_write(tmp_path / "a", "ab"):
        pass
    assert names(tmp_path) == []


def test_a_free_lock_is_taken_without_a_message_and_again_after_its_release(tmp_path):
    said = []
    for _ in range(2):
        with locked(tmp_path / "lock", lambda: said.append("wait")):
            pass
    assert said == []


def test_a_lock_is_let_go_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / "lock"):
        raise RuntimeError
    with locked(tmp_path / "lock", lambda: pytest.fail("still held")):
        pass


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its stdin says otherwise."""
    code = (
        "import sys; from autograder.files import locked\n"
        "with locked(sys.argv[1]): print('held', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", ["release", "kill"])
def test_a_waiter_says_so_once_and_gets_the_lock_when_the_holder_ends(tmp_path, end):
    path = tmp_path / "lock"
    said, got = [], []
    with hold(path) as process:

        def wait() -> None:
            with locked(path, lambda: said.append(time.monotonic())):
                got.append(time.monotonic())

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        deadline = time.monotonic() + 10
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(said) == 1 and not got
        if end == "kill":
            process.kill()
        else:
            process.communicate("\n")
        waiter.join(timeout=10)
    assert len(got) == 1 and len(said) == 1


# Temporary folders.


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_private_and_gone_at_the_end(place):
    with pytest.raises(KeyError), temporary_folder() as folder:
        assert folder.parent == place
        assert folder.name.startswith(OWN)
        if os.name == "posix":
            assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
        raise KeyError
    assert list(place.iterdir()) == []


def test_what_a_killed_owner_left_is_removed_and_what_is_in_use_is_not(place):
    script = (
        f"import sys, time, tempfile; tempfile.tempdir = {str(place)!r}\n"
        "from autograder.files import temporary_folder\n"
        "with temporary_folder() as folder: print(folder.name, flush=True); time.sleep(60)\n"
    )
    killed, alive = (
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    with killed.stdout, alive.stdout:
        left, used = killed.stdout.readline().strip(), alive.stdout.readline().strip()
        (place / "lm-kit-other").mkdir()  # of someone who locks nothing
        killed.kill()
        killed.wait()
        with temporary_folder() as folder:
            assert {path.name for path in place.iterdir()} == {used, "lm-kit-other", folder.name}
            assert left
        alive.kill()
        alive.wait()
