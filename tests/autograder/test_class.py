"""A class: graded as each hand-in is alone, wherever it is graded and whatever dies meanwhile."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs the packages of `setup class`")

from autograder import cli
from autograder.classroom import shard
from autograder.classroom.cluster import Cluster, shards
from autograder.classroom.drive import Drive, fits
from autograder.classroom.entry import Entry, Student
from autograder.classroom.ledger import Ledger
from autograder.classroom.shard import Answer, Task, Terms, fingerprint, pack, versions
from autograder.commands.hand_ins import given_files
from autograder.exam import Exam
from autograder.faults import Fault
from autograder.submission import take

ROOT = Path(__file__).resolve().parents[2]
SUICIDE = """
import os, signal
for kill, whom in ((os.killpg, os.getpgid(0)), (os.kill, os.getpid())):
    try:
        kill(whom, signal.SIGKILL)
    except PermissionError:
        pass
"""
# Long enough for somebody to be killed meanwhile; an import is no trained step that would time out.
SLOW = "\nimport time\ntime.sleep(1.5)\n"


@pytest.fixture(scope="module")
def hand_ins(base, tmp_path_factory) -> Path:
    """Honest hand-ins that differ, as folder and archive, and odd ones among them."""
    folder = tmp_path_factory.mktemp("class") / "class"
    folder.mkdir()
    for name in ("ann", "bob", "eve"):
        shutil.copytree(base, folder / name)
        with (folder / name / "trainer.py").open("a") as file:
            file.write(f"# {name}\n")
    with (folder / "eve" / "inference.py").open("a") as file:
        file.write(SUICIDE)
    with tarfile.open(folder / "cid.tar.gz", "w:gz") as archive:
        archive.add(folder / "ann", "hand-in")
    shutil.copytree(folder / "ann", folder / "twin")
    (folder / "dora").mkdir()
    (folder / "fay.zip").write_bytes(b"PK\3\4 no archive")
    return folder


def run(folder: Path, out: Path, *more: str) -> int:
    given = ["grade-class", str(folder), "--corpus", "numbers", "--out", str(out)]
    return cli.main([*given, *more])


def results(out: Path) -> dict[str, dict]:
    """All results by hand-in, without what is measured with a clock."""
    found = {}
    for path in sorted(out.glob("*/results.json")):
        told = json.loads(path.read_text())
        del told["timing"]
        for check in told["checks"]:
            del check["seconds"]
        found[path.parent.name] = told
    return found


def ledger_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone_out(hand_ins, data, public, tmp_path_factory) -> Path:
    """The class, graded in this process one after the other."""
    out = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMKIT_DATA", str(data))
        assert run(hand_ins, out, "--workers", "0") == 0
    return out


@pytest.fixture(scope="module")
def alone(alone_out) -> dict[str, dict]:
    return results(alone_out)


@pytest.fixture(autouse=True)
def _data(data, monkeypatch):
    monkeypatch.setenv("LMKIT_DATA", str(data))


# What comes of a class.


def test_each_gets_the_grade_that_grade_gives(alone, hand_ins, tmp_path):
    command = [
        "grade",
        str(hand_ins / "bob"),
        "--corpus",
        "numbers",
        "--out",
        str(tmp_path / "bob"),
    ]
    assert cli.main(command) == 0
    single, mine = results(tmp_path)["bob"], copy.deepcopy(alone["bob"])
    for told in (single, mine):
        assert told["environment"].pop("worker")  # one is a new process, the other a fork
    assert mine == single


def test_whoever_handed_in_has_a_grade_or_a_reason(alone, alone_out):
    assert set(alone) == {"ann", "bob", "cid", "eve", "fay", "twin"}
    score = {name: told["score"] for name, told in alone.items()}
    assert score["ann"] == score["bob"] == score["cid"] == score["twin"] > 0
    assert score["eve"] == score["fay"] == 0
    with (alone_out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["handin"]: row for row in csv.DictReader(file)}
    assert rows["dora"]["score"] == ""
    assert "empty" in rows["dora"]["reason"]
    assert float(rows["bob"]["score"]) == score["bob"]
    page = (alone_out / "class.html").read_text()
    assert "dora" in page
    assert "killed by SIGKILL" in (alone_out / "eve" / "report.html").read_text()


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_grades_are_for_who_graded_alone(hand_ins, tmp_path):
    run(hand_ins, tmp_path / "out", "--workers", "0", "--only", "fay")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_equal_hand_ins_are_graded_once(alone, alone_out):
    lines = ledger_of(alone_out)
    assert len(lines) == len({line["key"] for line in lines}) == 5
    # The archive holds a folder, so its names are others; the copy is the same.
    assert alone["twin"]["submission_digest"] == alone["ann"]["submission_digest"]
    assert alone["twin"]["submission"] == "twin"


def test_a_second_run_grades_nothing_and_writes_the_same(alone, alone_out, hand_ins, capsys):
    before = (alone_out / "ledger.jsonl").read_bytes()
    (alone_out / "bob" / "report.html").unlink()
    assert run(hand_ins, alone_out, "--workers", "0") == 0
    assert "0 to grade" in capsys.readouterr().out
    assert (alone_out / "ledger.jsonl").read_bytes() == before
    assert results(alone_out) == alone
    assert (alone_out / "bob" / "report.html").is_file()


def test_what_changed_is_graded_again_and_told(alone, alone_out, hand_ins, tmp_path, capsys):
    shutil.copytree(hand_ins, tmp_path / "class")
    shutil.copytree(alone_out, tmp_path / "out")
    with (tmp_path / "class" / "bob" / "inference.py").open("a") as file:
        file.write("\nraise ValueError('broken since')\n")
    assert run(tmp_path / "class", tmp_path / "out", "--workers", "0") == 0
    said = capsys.readouterr().out
    assert "1 to grade" in said
    (line,) = [line for line in said.splitlines() if "bob: " in line]
    assert f"{alone['bob']['score']:g} → 0" in line
    assert "another hand-in" in line
    again = ("--workers", "0", "--only", "bob", "--diff", str(tmp_path / "out"))
    assert run(hand_ins, tmp_path / "new", *again) == 0
    assert [line["result"]["submission"] for line in ledger_of(tmp_path / "new")] == ["bob"]
    assert "bob: 0 →" in capsys.readouterr().out


def test_a_hand_in_is_the_same_packed_and_not(hand_ins, tmp_path):
    for name in ("ann", "cid.tar.gz"):
        ending, data = pack(hand_ins / name)
        (tmp_path / name).mkdir()
        packed = tmp_path / f"{name}{ending}"
        packed.write_bytes(data)
        assert take(packed, tmp_path / name).digest == fingerprint(hand_ins / name)
    assert fingerprint(hand_ins / "fay.zip").startswith("unreadable/")
    assert fingerprint(hand_ins / "fay.zip") != fingerprint(hand_ins / "ann" / "trainer.py")


def test_names_keys_and_addresses_choose_entries():
    entry = Entry("k-1", Path(), (Student("Ann Lee", "007", "ann@uni.edu"),))
    assert all(fits(entry, [p]) for p in ("k-1", "ann*", "ANN LEE", "007", "*@uni.edu", "*"))
    assert not any(fits(entry, [p]) for p in ("k-2", "lee", "07", ""))


def test_a_pattern_that_fits_nobody_is_an_error(hand_ins, tmp_path, capsys):
    assert run(hand_ins, tmp_path, "--workers", "0", "--only", "bob,nobody") == 2
    assert "nobody fits nobody" in capsys.readouterr().err


def test_shards_are_few_hand_ins_and_not_too_large(monkeypatch):
    monkeypatch.setattr("autograder.classroom.cluster.SHARD_BYTES", 100)
    tasks = [
        Task(str(i), "a.tar", data=b"x" * size) for i, size in enumerate([10] * 20 + [90, 90, 300])
    ]
    made = list(shards(tasks, 1000, 2))
    assert [task for shard in made for task in shard] == tasks
    assert all(len(s) == 1 or sum(len(t.data) for t in s) <= 100 for s in made)
    assert max(map(len, made)) == 8
    assert {len(s) for s in shards(tasks, 23, 2)} == {1}


# Faults of the grader's own are no marks.


@pytest.fixture
def terms(numbers, public, judge) -> Terms:
    exam, given = Exam.of(numbers, public, judge), given_files(ROOT)
    return Terms(exam, "T5", False, given, versions(judge, given))


@pytest.fixture
def drive(hand_ins, terms, tmp_path):
    entries = [Entry(n, hand_ins / n, (Student(n),)) for n in ("ann", "bob", "eve")]
    made = Drive(entries, terms, tmp_path, lambda _: None)
    made.read()
    yield made
    made.close()


@pytest.fixture
def told(alone_out):
    """What a worker would answer, without the time that it takes."""

    def told(task: Task) -> Answer:
        name = task.name.split(".")[0]
        return Answer(task.key, (alone_out / name / "results.json").read_text(), log=b"said")

    return told


def test_a_fault_is_a_reason_and_is_tried_again_by_the_next_run(drive, told):
    def engine(tasks, _):
        for task in tasks:
            bad = task.name.startswith("bob")
            yield Answer(task.key, fault="no disk") if bad else told(task)

    drive.run(drive.wanted(), engine, lambda _: None)
    (row,) = drive.rows().open
    assert (row.entry.key, row.result) == ("bob", None)
    assert "the grader's own fault: no disk" in row.reason
    drive.finish("t")
    with (drive.out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        scores = {line["handin"]: line["score"] for line in csv.DictReader(file)}
    assert scores["bob"] == ""
    assert scores["ann"] != ""
    assert len(drive.wanted()) == 1
    drive.run(drive.wanted(), lambda tasks, _: (told(t) for t in tasks), print)
    assert drive.rows().open == []


def test_what_changed_is_told_though_the_run_is_stopped_and_run_again(
    drive, hand_ins, terms, told, tmp_path
):
    def better(task):
        answer = told(task)
        result = json.loads(answer.result)
        for check in result["checks"]:
            check["score"] = check["max_score"]
        result["score"] = result["max_score"]
        return replace(answer, result=json.dumps(result))

    drive.run(drive.wanted(), lambda tasks, _: map(told, tasks), print)
    drive.finish("t")
    drive.close()
    terms = replace(terms, versions="others")
    for stop in (1, 3):
        again = Drive(drive.entries, terms, tmp_path, lambda _: None)
        again.read()
        again.run(again.wanted()[:stop], lambda tasks, _: map(better, tasks), print)
        again.finish("t")
        changes = again.changes()
        again.close()
    scores = [line["result"]["score"] for line in ledger_of(tmp_path)[:3]]
    assert [(c.key, c.before) for c in changes] == list(
        zip(("ann", "bob", "eve"), scores, strict=True)
    )
    assert {c.after for c in changes} == {100.0}
    assert all("other versions" in c.why for c in changes)


def test_an_answer_that_comes_twice_counts_once(drive, told):
    def twice(tasks, _):
        for task in tasks:
            yield told(task)
            yield told(task)

    drive.run(drive.wanted(), twice, lambda _: None)
    assert len(ledger_of(drive.out)) == 3


def test_a_full_disk_at_the_ledger_stops_and_the_next_run_goes_on(drive, told, monkeypatch):
    engine = lambda tasks, _: (told(task) for task in tasks)  # noqa: E731
    write, calls = os.write, []

    def full(*given):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Fault, match="No space left"):
            drive.run(drive.wanted(), engine, lambda _: None)
    assert len(ledger_of(drive.out)) == 1
    assert len(drive.wanted()) == 2
    drive.run(drive.wanted(), engine, lambda _: None)
    assert len({line["key"] for line in ledger_of(drive.out)}) == len(ledger_of(drive.out)) == 3


def test_a_hand_in_that_changes_meanwhile_is_no_grade(drive, told):
    (key, *_) = drive.wanted()
    task = next(drive.tasks([key], far=True))
    other = replace(task, name="bob.tar" if task.name.startswith("ann") else "ann.tar")
    drive.run([key], lambda *_: iter([replace(told(other), key=key)]), print)
    assert "changed while it was read" in ledger_of(drive.out)[0]["fault"]


def test_two_drivers_on_one_ledger_are_one_too_many(hand_ins, tmp_path, capsys):
    with Ledger(tmp_path / "ledger.jsonl"):
        assert run(hand_ins, tmp_path, "--workers", "0") == 3
    assert "another run is writing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheduler", "why"), [("none.json", "no such file"), ("tls://127.0.0.1:1", "certificates")]
)
def test_a_scheduler_that_cannot_be_used_is_a_fault_in_words(
    hand_ins, tmp_path, capsys, monkeypatch, scheduler, why
):
    monkeypatch.setattr("autograder.classroom.cluster.PATIENCE", 0.0)
    assert run(hand_ins, tmp_path, "--scheduler", scheduler, "--only", "bob") == 3
    assert why in capsys.readouterr().err


def test_a_worker_of_other_versions_grades_nothing(terms):
    marker = shard.Marker(replace(terms, versions="others"))
    with pytest.raises(Fault, match="another version"):
        marker(Task("key", "a.tar"))


def test_a_worker_fills_in_the_files_of_the_terms_not_of_its_own_kit(
    terms, judge, hand_ins, monkeypatch
):
    driver = {"config.py": b"# of the driver's kit"}
    terms, seen = replace(terms, given=driver, versions=versions(judge, driver)), []

    def grade(*_, given, **__):
        seen.append(given)
        raise Fault("that is enough")

    monkeypatch.setattr("autograder.grade.grade", grade)
    assert "that is enough" in shard.Marker(terms)(Task("key", "ann", hand_ins / "ann")).fault
    assert seen[0] == driver


def test_other_given_files_are_another_grade(terms, judge):
    changed = {**terms.given, "config.py": terms.given["config.py"] + b"\n"}
    assert versions(judge, changed) != terms.versions


def test_a_grader_that_fails_is_a_fault_and_no_mark(terms, monkeypatch):
    marker = shard.Marker(terms)
    monkeypatch.setattr(shard.grade, "grade", lambda *_, **__: 1 / 0)
    answer = marker(Task("key", "a.tar"))
    assert (answer.result, answer.key) == ("", "key")
    assert "ZeroDivisionError" in answer.fault


@pytest.fixture
def slow(hand_ins, tmp_path) -> Path:
    """The class, two of which take their time."""
    folder = tmp_path / "class"
    shutil.copytree(hand_ins, folder)
    for name in ("ann", "bob"):
        with (folder / name / "data_loader.py").open("a") as file:
            file.write(SLOW)
    return folder


def test_tables_that_cannot_be_written_are_a_fault_and_lose_nothing(drive, told, monkeypatch):
    drive.run(drive.wanted(), lambda tasks, _: (told(task) for task in tasks), lambda _: None)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("autograder.classroom.gradebook.write", full)
        with pytest.raises(Fault, match="No space left"):
            drive.finish("t")
    assert len(ledger_of(drive.out)) == 3
    drive.finish("t")
    assert (drive.out / "class.html").is_file()


def test_a_driver_that_is_killed_is_run_again_and_nothing_is_doubled(alone, slow, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "autograder", "grade-class", str(slow), "--corpus", "numbers"]
    command += ["--out", str(out), "--workers", "0"]
    env = {**os.environ, "LMKIT_VENV": "none", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as driver:
        wait_until(lambda: (out / "ledger.jsonl").exists() and ledger_of(out))
        driver.send_signal(signal.SIGKILL)
    first = len(ledger_of(out))
    assert 1 <= first < 6
    assert run(slow, out, "--workers", "0") == 0
    lines = ledger_of(out)
    assert len(lines) == len({line["key"] for line in lines}) == 6
    assert scores(results(out)) == scores(alone)


# On a cluster.


def test_two_workers_give_what_one_gives_though_one_is_killed(
    alone, hand_ins, tmp_path, monkeypatch
):
    seen = []

    class Watched(Cluster):
        """Kills a worker when the first answer is there, so that the other shards are under way."""

        def grade(self, tasks, total):
            for answer in super().grade(tasks, total):
                if not seen:
                    pids = self._client.run(os.getpid)
                    seen.append(len(pids))
                    os.kill(next(iter(pids.values())), signal.SIGKILL)
                yield answer

    monkeypatch.setattr("autograder.classroom.cluster.Cluster", Watched)
    assert run(hand_ins, tmp_path, "--workers", "2") == 0
    assert seen == [2]
    assert results(tmp_path) == alone
    lines = ledger_of(tmp_path)
    assert len(lines) == len({line["key"] for line in lines}) == 5


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


class Programs:
    """Programs of the kit that run until the test ends; what they say is in a log."""

    def __init__(self, folder: Path) -> None:
        self.log, self.started = folder / "log", []

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            self.kill(process)

    def start(
        self, *arguments: str, kit: Path = ROOT, before: Sequence[str] = (), **env: str
    ) -> subprocess.Popen:
        command = [*before, sys.executable, "-m", "autograder", *arguments]
        env = {**os.environ, "LMKIT_VENV": "none", "PYTHONPATH": str(kit), **env}
        place = self.log.parent if kit == ROOT else kit
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, env=env, cwd=place, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def kill(self, process: subprocess.Popen) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_scheduler_that_is_killed_and_started_again_loses_nothing(alone, slow, tmp_path):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduling = ["grade-scheduler", "--port", str(port)]
    driving = ["grade-class", str(slow), "--corpus", "numbers", "--out", str(tmp_path / "out")]
    with Programs(tmp_path) as programs:
        scheduler = programs.start(*scheduling)
        worker = programs.start("grade-worker", address)
        driver = programs.start(*driving, "--scheduler", address)
        wait_until(lambda: (tmp_path / "out/ledger.jsonl").exists() and ledger_of(tmp_path / "out"))
        programs.kill(scheduler)
        time.sleep(2)
        assert driver.poll() is None
        programs.start(*scheduling)
        programs.kill(worker)
        programs.start("grade-worker", address)
        assert driver.wait(200) == 0, programs.log.read_text()
    lines = ledger_of(tmp_path / "out")
    assert len(lines) == len({line["key"] for line in lines}) == 6
    assert scores(results(tmp_path / "out")) == scores(alone)


@contextmanager
def network(number: int) -> Iterator[tuple[str, str]]:
    """Make a network namespace that reaches this one; give its name and this one's address."""
    name, here = f"lmkit-{os.getpid()}-{number}", f"lmk{number}-{os.getpid() % 100_000}"
    address = f"10.213.{number}"
    lines = [
        f"netns add {name}",
        f"link add {here} type veth peer name eth0 netns {name}",
        f"addr add {address}.1/24 dev {here}",
        f"link set {here} up",
        f"-n {name} addr add {address}.2/24 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} link set lo up",
    ]
    try:
        for line in lines:
            done = subprocess.run(["ip", *line.split()], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"needs network namespaces: ip {line}: {done.stderr.strip()}")
        yield name, f"{address}.1"
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip, to make network namespaces")
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_two_workers_that_share_no_network_and_no_folder_give_what_one_process_gives(
    alone, hand_ins, tmp_path
):
    """Each grades the whole class: on a network, with a kit, a home and folders of its own."""
    port = free_port()
    for number in (1, 2):
        machine, out = tmp_path / f"machine {number}", tmp_path / f"out-{number}"
        kit = machine / "kit"
        for part in ("autograder", "handout"):
            shutil.copytree(ROOT / part, kit / part, ignore=shutil.ignore_patterns("__pycache__"))
        own = {"HOME": machine, "TMPDIR": machine / "tmp", "LMKIT_DATA": machine / "data"}
        for folder in own.values():
            folder.mkdir(exist_ok=True)
        with network(number) as (name, here), Programs(tmp_path) as programs:
            programs.start("grade-scheduler", "--port", str(port))
            programs.start(
                *("grade-worker", f"tcp://{here}:{port}"),
                kit=kit,
                before=["ip", "netns", "exec", name],
                **{key: str(value) for key, value in own.items()},
            )
            address = f"tcp://127.0.0.1:{port}"
            assert run(hand_ins, out, "--scheduler", address) == 0, programs.log.read_text()
        assert results(out) == alone


def scores(found: dict[str, dict]) -> dict[str, float]:
    return {name: told["score"] for name, told in found.items()}


def wait_until(true, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
