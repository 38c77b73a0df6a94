"""classroom/gradebook.py: what csv.reader reads back is what was graded, and no cell acts."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.classroom import Entry, Row, Student, gradebook
from autograder.result import Check, Flag, Result

ACTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HOSTILE = (
    "=HYPERLINK(0)",
    "+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "a\n=1",
    '"=1',
    "a;=cmd|' /C calc'!A0",
    "\u200b=1",
    "\x1b[0m=1",
    "＝1",
    'x","=1',
    "Points Possible",
)


def graded(score: float, **more) -> Result:
    checks = (
        Check("trainer.step", "a step", False),
        Check("trainer.loss", "the loss", None),
        Check("prediction", "next word", True, score=score, max_score=50),
        Check("generation", "text", False, max_score=50),
    )
    return Result("s", "5a", "numbers", "f1", "0b", checks=checks, **{"official": True} | more)


def row(name: str, result: Result | None, reason: str = "", **more: str) -> Row:
    return Row(Entry(name, Path("x"), (Student(name, **more),)), result, reason)


METRICS = {"prediction_nll": 5.1234, "generation_nll": 12.0}
ANN = row("Ann", graded(33.33, metrics=METRICS, flags=(Flag("fast", "told"),)), id="007")
BO = row("Bo", None, "the sandbox was lost", email="bo@uni.edu", canvas="42")
NIL = row("Nil", graded(0.0, official=False))
PAIR = Row(Entry("team", Path("x"), (Student("Cy", "8"), Student("Zoë", "9"))), graded(50.0))
ROWS = (ANN, BO, NIL, PAIR)


def tables(rows, folder: Path, **more) -> tuple[list[list[str]], ...]:
    paths = gradebook.write(rows, folder, **more)
    names = ["grades.csv", "grades.canvas.csv", "grades.gradescope.csv"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    texts = (path.read_bytes().decode("utf-8-sig") for path in paths)
    return tuple(list(csv.reader(io.StringIO(text, newline=""))) for text in texts)


def test_everything_about_a_student_stands_in_a_row(tmp_path):
    table, _, _ = tables(ROWS, tmp_path / "new")
    ann, bo, nil, cy, zoe = (dict(zip(table[0], cells, strict=True)) for cells in table[1:])
    assert ann == {
        "name": "Ann",
        "id": "007",
        "email": "",
        "handin": "Ann",
        "score": "33.33",
        "max_score": "100",
        "prediction_nll": "5.1234",
        "generation_nll": "12",
        "official": "yes",
        "checks_failed": "trainer.step generation",
        "flags": "fast",
        "reason": "",
    }
    assert bo["reason"] == "the sandbox was lost" and bo["email"] == "bo@uni.edu"
    assert nil["official"] == "no"
    assert [cy["name"], zoe["name"]] == ["Cy", "Zoë"] and cy["score"] == zoe["score"] == "50"


def test_no_grade_is_an_empty_cell_and_a_grade_of_nothing_is_0(tmp_path):
    table, canvas, scope = tables(ROWS, tmp_path)
    for cells, column in ((table, "score"), (canvas, "Language modelling"), (scope, "Total Score")):
        place = cells[0].index(column)
        scores = {line[0]: line[place] for line in cells[1:]}
        assert scores["Bo"] == "" and scores["Nil"] == "0" and scores["Ann"] == "33.33"


def test_of_two_different_grades_a_person_says_which_counts(tmp_path):
    def twice(first: Result | None, second: Result | None):
        one = row("x", first, "lost", id="7")
        other = replace(one, entry=replace(one.entry, key="y"), result=second)
        return tables([ANN, one, other], tmp_path)

    for different in (graded(20.0), None):
        table, canvas, scope = twice(graded(10.0), different)
        assert [cells[5] for cells in canvas[2:]] == ["33.33", "", ""]
        assert [cells[3] for cells in scope[1:]] == ["33.33", "", ""]
        assert [cells[4] for cells in table[1:3]] == ["33.33", "10"]
        told = [cells[-1] for cells in table[1:]]
        assert told[0] == "" and all("different grades in x, y" in text for text in told[1:])
    table, canvas, _ = twice(graded(10.0), graded(10.0))
    assert [cells[5] for cells in canvas[3:]] == ["10", "10"]
    assert not any(cells[-1] for cells in table[1:])


def test_canvas_finds_its_columns_and_its_points(tmp_path):
    _, table, _ = tables(ROWS, tmp_path, assignment="HW 4, part 1")
    assert table[0] == [
        *["Student", "ID", "SIS User ID", "SIS Login ID", "Section"],
        "HW 4, part 1",
    ]
    assert table[1] == ["Points Possible", "", "", "", "", "100"]
    assert table[2] == ["Ann", "", "007", "", "", "33.33"]
    assert table[3] == ["Bo", "42", "", "bo@uni.edu", "", ""]
    assert len({len(cells) for cells in table}) == 1


def test_no_students_name_sets_the_points_in_canvas(tmp_path):
    _, table, _ = tables([row("Points Possible 1000", graded(1.0))], tmp_path)
    assert ["Points Possible" in cells[0] for cells in table] == [False, True, False]


def test_a_class_without_grades_names_no_points(tmp_path):
    _, table, scope = tables([BO], tmp_path)
    assert table[1][5] == "" and scope[1][3:] == ["", ""]


def test_gradescopes_words_are_its_exports(tmp_path):
    _, _, table = tables(ROWS, tmp_path)
    assert table[0] == ["Name", "SID", "Email", "Total Score", "Max Points"]
    assert table[1] == ["Ann", "007", "", "33.33", "100"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_begins_a_formula_however_a_spreadsheet_splits_it(tmp_path, text, separator):
    student = Student(text, text, text, text)
    bad = (Check(text, text, False),)
    result = graded(1.0, flags=(Flag(text, text),), metrics={"prediction_nll": -0.5})
    named = Result("s", "5a", "numbers", "f1", "0b", True, bad)
    rows = [
        Row(Entry(text, None, (student,)), None, text),
        Row(Entry(text, None, (student,), text), None),
        Row(Entry(text, None, (student,)), named),
        Row(Entry("ann", None, (student,)), result),
    ]
    seen = 0
    for path in gradebook.write(rows, tmp_path, text):
        content = path.read_bytes().decode("utf-8-sig")
        for cells in csv.reader(io.StringIO(content, newline=""), delimiter=separator):
            for cell in cells:
                seen += 1
                # The only number here below 0 is the kit's own.
                assert not cell.startswith(ACTS) or (cell == "-0.5" and separator == ",")
                assert cell.isprintable()
    assert seen >= 3 * len(rows)


def test_what_needs_no_guard_is_read_back_as_it_was(tmp_path):
    names = ["O'Neill", 'Ann "A", Lee', "Zoë", "語 文", "a=b", "x-y", "1"]
    table, canvas, scope = tables([row(name, None, "lost") for name in names], tmp_path)
    assert [cells[0] for cells in table[1:]] == names
    assert [cells[0] for cells in canvas[2:]] == names
    assert [cells[0] for cells in scope[1:]] == names


def test_numbers_are_read_back_as_numbers(tmp_path):
    draw = random.Random(11785)
    scores = [round(draw.uniform(0, 50), 2) for _ in range(200)]
    table, _, _ = tables([row(f"s{n}", graded(score)) for n, score in enumerate(scores)], tmp_path)
    assert [float(cells[4]) for cells in table[1:]] == scores


def test_only_the_file_for_people_has_a_byte_order_mark(tmp_path):
    plain, *others = gradebook.write(ROWS, tmp_path)
    assert plain.read_bytes().startswith(b"\xef\xbb\xbfname,")
    assert all(not path.read_bytes().startswith(b"\xef\xbb\xbf") for path in others)
