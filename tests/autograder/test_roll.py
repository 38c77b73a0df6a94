"""classroom/roll.py: nobody is lost, nobody's key moves, no link is followed, no name acts."""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from autograder.classroom import Entry, RollError, Student, read

METADATA = """\
submission_1:
  :submitters:
  - :name: Ann Lee
    :sid: 00123
    :email: ann@uni.edu
  :created_at: 2026-02-30 21:10:25.034000000 Z
  :score: 3.0
  :history: []
submission_2:
  :submitters:
  - {":name": Bo, ":sid": '7', ":email": bo@uni.edu}
  - {":name": "\\e[31mCy\\u202E\\0", ":sid": , ":email": cy@uni.edu}
submission_3:
  :submitters: !ruby/object:Student
    :name: no list
submission_4: 12
submission_5:
  :submitters: [{":name": Di}]
submission_6:
  :submitters: [{":name": Ed}]
"""
# A device's name, a folder above, and a name longer than a file system takes.
ODD = ("CON", "com1.x", "a:b|c?", "x..", "ann.", " ", "-rf", "語", "Zoë", "e\u0301", "x" * 200)


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def by_key(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    assert len({entry.key.casefold() for entry in entries}) == len(entries)
    assert all(entry.students for entry in entries)
    assert all((entry.path is None) == bool(entry.reason) for entry in entries)
    return {entry.key: entry for entry in entries}


@pytest.fixture
def export(tmp_path) -> Path:
    pytest.importorskip("yaml")
    root = tmp_path / "export"
    put(root / "submission_metadata.yml", METADATA)
    put(root / "submission_1" / "data_loader.py")
    put(root / "submission_2" / "handin.tar")
    put(root / "submission_3" / "handin.tar")
    put(root / "submission_3" / "notes.txt")
    put(root / "submission_4" / "trainer.py")
    (root / "submission_5").mkdir()
    put(root / "submission_7" / "trainer.py")
    return root


@pytest.mark.parametrize("deep", [False, True])
def test_an_export_of_gradescope_gives_its_people_and_their_hand_ins(export, deep):
    found = by_key(read(export.parent if deep else export))
    assert list(found) == [f"submission_{n}" for n in range(1, 8)]
    assert found["submission_1"].students == (Student("Ann Lee", "00123", "ann@uni.edu"),)
    assert found["submission_1"].path == export / "submission_1"
    assert found["submission_2"].students == (
        Student("Bo", "7", "bo@uni.edu"),
        Student("Cy", "", "cy@uni.edu"),
    )


def test_a_lone_archive_is_the_hand_in_and_one_among_others_is_not(export):
    found = by_key(read(export))
    assert found["submission_2"].path == export / "submission_2" / "handin.tar"
    assert found["submission_3"].path == export / "submission_3"


def test_who_is_listed_wrongly_goes_by_the_folder(export):
    found = by_key(read(export))
    for name in ("submission_3", "submission_4", "submission_7"):
        assert found[name].students == (Student(name),)


def test_no_hand_in_is_an_entry_with_its_reason(export):
    found = by_key(read(export))
    assert found["submission_5"].students == (Student("Di"),)
    assert "empty" in found["submission_5"].reason
    assert found["submission_6"].students == (Student("Ed"),)
    assert "no folder submission_6" in found["submission_6"].reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n- b\n", "a list"),
        ("a: [", "broken"),
        ("a: \x00\n", "broken"),
        ("", "nothing"),
        ("[" * 200_000, "deeper"),
        ("- " * 200_000, "deeper"),
        ("? [x]\n: y\n", "broken"),
        ("&a a: *b\n", "broken"),
    ],
)
def test_a_broken_list_is_told_by_its_name(export, text, told):
    put(export / "submission_metadata.yml", text)
    with pytest.raises(RollError, match=told) as caught:
        read(export)
    assert "submission_metadata.yml" in str(caught.value)


def test_no_object_is_made_of_a_list(export, monkeypatch):
    put(
        export / "submission_metadata.yml",
        "submission_1: !!python/object/apply:os.system ['touch owned']\n"
        "submission_2:\n  :submitters: [{':name': !!python/name:os.system , ':sid': [1, 2]}]\n",
    )
    monkeypatch.chdir(export)
    found = by_key(read(export))
    assert not (export / "owned").exists()
    assert found["submission_2"].students == (Student("submission_2"),)


def test_no_student_can_hand_in_the_list_of_the_class(tmp_path):
    put(tmp_path / "ann" / "trainer.py")
    put(tmp_path / "mallory" / "submission_metadata.yml", METADATA)
    put(tmp_path / "mallory" / "students.csv", "handin,name\nann,Mallory\n")
    names = [entry.students for entry in read(tmp_path)]
    assert names == [(Student("ann"),), (Student("mallory"),)]


def test_a_list_that_is_too_large_is_not_read(export, monkeypatch):
    monkeypatch.setattr("autograder.classroom.entry.MAX_LIST", 100)
    with pytest.raises(RollError, match="too large"):
        read(export)


def test_without_pyyaml_the_message_says_what_to_install(export, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(RollError, match="pip install"):
        read(export)


def test_of_autolabs_versions_the_newest_counts(tmp_path):
    for name in (
        "ann@uni.edu_9_handin.tar",
        "ann@uni.edu_10_handin.tar",
        "b_o_1@uni.edu_2_my_handin.tar",
        "b_o@uni.edu_1_handin.tar",
    ):
        put(tmp_path / name)
    found = by_key(read(tmp_path))
    assert {entry.students[0].email: entry.path.name for entry in found.values()} == {
        "ann@uni.edu": "ann@uni.edu_10_handin.tar",
        "b_o_1@uni.edu": "b_o_1@uni.edu_2_my_handin.tar",
        "b_o@uni.edu": "b_o@uni.edu_1_handin.tar",
    }
    put(tmp_path / "ann@uni.edu_11_handin.tar")
    assert by_key(read(tmp_path)).keys() == found.keys()


def test_canvas_names_give_one_entry_a_user(tmp_path):
    put(tmp_path / "leeann_340934_208490284_handin.tar")
    put(tmp_path / "leeann_340934_208490284_notes.txt")
    put(tmp_path / "bo_LATE_77_1_handin-2.zip")
    for name in ("trainer.py", "inference.py"):
        put(tmp_path / f"cy_78_2_{name}")
    for name in ("a", "b"):
        put(tmp_path / f"hw_2026_1_{name}.zip")
    found = {entry.students[0].name: entry for entry in by_key(read(tmp_path)).values()}
    assert found.keys() == {"leeann", "bo", "cy", "hw_2026_1_a", "hw_2026_1_b"}
    assert found["leeann"].path.name == "leeann_340934_208490284_handin.tar"
    assert found["leeann"].students == (Student("leeann", canvas="340934"),)
    assert found["bo"].path.name == "bo_LATE_77_1_handin-2.zip"
    assert found["cy"].path is None and "2 files" in found["cy"].reason


def test_a_plain_folder_is_read_by_its_names(tmp_path):
    put(tmp_path / "ann.tar.gz")
    put(tmp_path / "bo" / "trainer.py")
    put(tmp_path / "Cy Smith_42_assignsubmission_file_" / "handin.zip")
    put(tmp_path / "dee.rar")  # no hand-in can be read of it, but a student is to be told so
    for name in ("notes.txt", "list.csv", ".hidden.tar", "__MACOSX/a.tar", ".git/a.tar"):
        put(tmp_path / name)
    entries = read(tmp_path)
    by_key(entries)
    assert {entry.students[0].name: entry.path.name for entry in entries} == {
        "ann": "ann.tar.gz",
        "bo": "bo",
        "Cy Smith": "handin.zip",
        "dee": "dee.rar",
    }


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_students_csv_names_people_groups_and_who_handed_in_nothing(tmp_path, mark, separator):
    put(tmp_path / "team 1.tar")
    put(tmp_path / "Zoe\u0308" / "trainer.py")
    put(tmp_path / "stranger.zip")
    lines = (
        "HandIn,Name,ID,Email,note",
        'team 1,"Ann ""A"" Lee",007,ann@uni.edu,x',
        "team 1.tar,Bo,8,bo@uni.edu,",
        "Zo\u00eb,Zoë Z,9,zoe@uni.edu",
        "ghost,Gus,10,gus@uni.edu",
        ",Nil,11,nil@uni.edu",
        "",
    )
    put(tmp_path / "students.csv", mark + "\r\n".join(lines).replace(",", separator))
    entries = by_key(read(tmp_path)).values()
    people = {tuple(student.name for student in entry.students): entry for entry in entries}
    assert people.keys() == {('Ann "A" Lee', "Bo"), ("Zoë Z",), ("stranger",), ("Gus",), ("Nil",)}
    assert people['Ann "A" Lee', "Bo"].students[0].id == "007"
    assert people[("Zoë Z",)].path is not None
    assert people[("Gus",)].path is None and "ghost" in people[("Gus",)].reason
    assert people[("Nil",)].path is None and people[("Nil",)].key.startswith("11")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"ann,Ann Lee,1\n", "first line"),
        (b"", "first line"),
        (b"handin,grade\nann,1\n", "first line"),
        (b"handin,name\nann,Zo\xeb\n", "UTF-8"),
        (b'handin,name\nann,"' + b"x" * 200_000 + b'"\n', "no CSV"),
    ],
)
def test_a_broken_students_csv_is_told(tmp_path, data, told):
    put(tmp_path / "ann" / "trainer.py")
    (tmp_path / "students.csv").write_bytes(data)
    with pytest.raises(RollError, match=told) as caught:
        read(tmp_path)
    assert "students.csv" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="names and links of Unix")
def test_links_lead_nowhere(tmp_path):
    outside = put(tmp_path / "outside" / "secret.tar").parent
    root = tmp_path / "class"
    put(root / "good" / "trainer.py")
    (root / "folder").symlink_to(outside)
    (root / "file.tar").symlink_to(outside / "secret.tar")
    (root / "broken").symlink_to("nowhere")
    (root / "inside").mkdir()
    (root / "inside" / "a.tar").symlink_to(outside / "secret.tar")
    entries = {entry.students[0].name: entry for entry in by_key(read(root)).values()}
    assert entries.keys() == {"good", "folder", "file", "broken", "inside"}
    for name in ("folder", "file", "broken", "inside"):
        assert entries[name].path is None and "link" in entries[name].reason
    (root / "students.csv").symlink_to(outside / "secret.tar")
    with pytest.raises(RollError, match="is a link"):
        read(root)


@pytest.mark.skipif(os.name == "nt", reason="names and links of Unix")
def test_every_key_is_fit_for_a_folder_of_any_system(tmp_path):
    for name in ODD:
        put(tmp_path / name / "trainer.py")
    keys = list(by_key(read(tmp_path)))
    assert len(keys) == len(ODD)
    for key in keys:
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._@-]*[A-Za-z0-9])?", key) and len(key) <= 60
        assert key.partition(".")[0].lower() not in {"con", "com1"}


def test_hand_ins_of_one_name_are_all_kept_under_keys_of_their_own(tmp_path):
    names = ["ann.tar", "ann.zip", "ann.tar.gz"]
    for name in names:
        put(tmp_path / name)
    put(tmp_path / "ann" / "trainer.py")
    entries = by_key(read(tmp_path))
    assert sorted(entry.path.name for entry in entries.values()) == sorted([*names, "ann"])
    assert all(key.startswith("ann-") for key in entries)


def test_a_key_stays_when_others_come(tmp_path):
    for name in ("ann", "Zoë", "Bo Li"):
        put(tmp_path / name / "trainer.py")
    before = {entry.path: entry.key for entry in read(tmp_path)}
    for name in ("aaron", "Zoe", "Bo-Li", "z"):
        put(tmp_path / name / "trainer.py")
    after = {entry.path: entry.key for entry in read(tmp_path)}
    assert len(after) == 7
    assert all(after[path] == key for path, key in before.items())


@pytest.mark.skipif(os.name == "nt", reason="names and links of Unix")
def test_names_come_out_clean(tmp_path):
    put(tmp_path / "a\x1b[31m\u202eb\n\tc\u200b" / "trainer.py")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    put(tmp_path / os.fsdecode(b"\xff\xfe") / "trainer.py")
    entries = read(tmp_path)
    assert len(entries) == 2
    for entry in entries:
        for text in (entry.key, entry.students[0].name):
            assert not [c for c in text if unicodedata.category(c)[0] == "C"]
    assert "ab c" in {entry.students[0].name for entry in entries}


def test_what_is_no_class_is_an_error_that_says_what_is(tmp_path):
    with pytest.raises(RollError, match="is not there"):
        read(tmp_path / "nothing")
    with pytest.raises(RollError, match=r"is a file.*Unpack"):
        read(put(tmp_path / "export.zip"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RollError, match=r"it is empty.*Expected"):
        read(empty)
    put(empty / "readme.md")
    with pytest.raises(RollError, match=r"readme\.md.*Expected"):
        read(empty)
    put(empty / "trainer.py")
    with pytest.raises(RollError, match="is one hand-in"):
        read(empty)


def test_three_thousand_are_read_in_seconds(tmp_path):
    pytest.importorskip("yaml")
    old = "".join(f"  - :score: {n}\n    :output: {'x' * 60}\n" for n in range(10))
    text = "".join(
        f'submission_{n}:\n  :submitters: [{{":name": S {n}, ":sid": "{n}"}}]\n  :history:\n{old}'
        for n in range(3000)
    )
    put(tmp_path / "submission_metadata.yml", text)
    for n in range(3000):
        (tmp_path / f"submission_{n}").mkdir()
    started = time.monotonic()
    entries = read(tmp_path)
    assert len(by_key(entries)) == 3000
    assert {entry.students[0].id for entry in entries} == {str(n) for n in range(3000)}
    assert time.monotonic() - started < 30
