"""classroom/page.py: the page says of the class what its results say, and nothing on it acts."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from autograder import score
from autograder.classroom import Entry, Row, Student, histogram, page
from autograder.result import Check, Flag, Result

STEPS = {
    "prediction": [[5.0, 50], [5.2, 45], [5.4, 40], [6.0, 20], [7.0, 0]],
    "generation": [[3.0, 50], [3.5, 40], [4.5, 20], [6.0, 0]],
}
CHECKS = ("data_loader.targets", "trainer.step", "inference.finite", "language_model.shape")
HOSTILE = "\x1b[31m</style><script>alert(1)</script><img src=x onerror=a()>\"'{{7*7}}\u202e"
VOID = {"meta", "rect", "line", "circle", "link", "img", "br"}


def made_up(amount: int, seed: int = 11785) -> list[Row]:
    """A class as classes are: most do well, some fail, one in ten cannot be graded."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(amount):
        name = f"Student {n:04}"
        students = (Student(name, str(n)),) if n % 7 else (Student(name), Student(f"Mate {n:04}"))
        entry = Entry(f"s{n}@uni.edu", Path("x"), students)
        if n % 10 == 3:
            rows.append(Row(entry, None, f"lost {n}"))
            continue
        metrics, checks = {}, [Check(id, id, bool(rng.random() < 0.8)) for id in CHECKS]
        for problem, low in (("prediction", 4.8), ("generation", 1.8)):
            nll = round(low + float(rng.gamma(1.5, 0.4)), 4) if n % 9 else 10.41
            metrics |= {f"{problem}_nll": nll, f"{problem}_nll_stderr": 0.02}
            points = score.points(nll, STEPS[problem])
            checks.append(Check(problem, problem, points == 50, score=points, max_score=50))
        digest = f"{n % 29 if n % 29 == 5 else n:064x}"
        flags = (Flag("copied", f"like another {n}"),) if n % 11 == 1 else ()
        rows.append(
            Row(
                entry,
                Result(
                    *(name, digest, "wikitext2", "f1", "0b", True, tuple(checks)),
                    metrics=metrics,
                    flags=flags,
                    scales=STEPS,
                ),
            )
        )
    return rows


class Page(HTMLParser):
    """Tags, attributes and texts of a page; fails on tags that are not closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.links = [], set(), []
        self.attributes: set[str] = set()
        self.jumps: set[str] = set()
        self.ids: set[str] = set()
        self.sections: dict[str, str] = {"": ""}
        self.section, self.heading = "", False
        self.feed(html)
        self.close()
        assert not self.open
        assert self.jumps <= self.ids

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.attributes |= values.keys()
        if tag == "a" and values["href"].startswith("#"):
            self.jumps.add(values["href"][1:])
        elif tag == "a":
            self.links.append(values["href"])
        if "id" in values:
            assert values["id"] not in self.ids
            self.ids.add(values["id"])
        if tag == "h2":
            self.heading, self.section = True, ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.heading = self.heading and tag != "h2"

    def handle_data(self, data):
        if self.heading:
            self.section += data
        elif "style" not in self.open:
            name = self.section.split("  ")[0].strip()
            self.sections[name] = self.sections.get(name, "") + data


def parsed(rows, **more) -> Page:
    return Page(page.render(rows, **more))


def section(seen: Page, name: str) -> str:
    return " ".join(next(t for key, t in seen.sections.items() if key.startswith(name)).split())


def has(seen: Page, name: str) -> bool:
    return any(key.startswith(name) for key in seen.sections)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return made_up(60)


@pytest.mark.parametrize("amount", [0, 1, 2, 30])
@pytest.mark.parametrize("names", [True, False])
def test_a_class_of_any_size_has_a_page_that_acts_nowhere(amount, names):
    seen = parsed(made_up(amount), names=names)
    assert not seen.tags & {"script", "link", "img", "iframe", "object", "form", "foreignobject"}
    assert not {name for name in seen.attributes if name.startswith("on")} | (
        seen.attributes & {"src", "srcset", "action"}
    )
    assert seen.sections[""].count("graded") >= 1


def test_the_summary_counts_and_its_quartiles_are_numpys(rows):
    scores = [row.result.score for row in rows if row.result]
    text = section(parsed(rows), "")
    first, median, third = (
        f"{q:.2f}".rstrip("0").rstrip(".") for q in np.percentile(scores, [25, 50, 75])
    )
    assert f"{len(scores)} graded, {len(rows) - len(scores)} not." in text
    assert f"{median} of 100" in text
    assert f"between {first} and {third}" in text


def test_the_leaderboard_is_in_order_and_links_to_each_report(rows):
    seen = parsed(rows)
    results = {row.entry.key: row.result for row in rows if row.result}
    body = page.render(rows).partition("Leaderboard")[2]
    lines = re.findall(r"<tr><td.*?</tr>", body)
    assert len(lines) == len(results)
    scores = [float(re.search(r">([\d.]+)</td></tr>", line)[1]) for line in lines]
    assert scores == sorted((result.score for result in results.values()), reverse=True)
    ranks = [int(re.search(r">(\d+)</td>", line)[1]) for line in lines]
    assert ranks == [1 + sum(other > own for other in scores) for own in scores]
    keys = [unquote(re.search(r'href="([^"]+)/report.html"', line)[1]) for line in lines]
    assert set(keys) == results.keys()
    assert [results[key].score for key in keys] == scores
    for key, line in zip(keys, lines, strict=True):
        nlls = [f"{results[key].metrics[f'{p}_nll']:.2f}" for p in ("prediction", "generation")]
        assert re.findall(r">([\d.]+)</td>", line)[1:3] == nlls
    assert {unquote(link.partition("/")[0]) for link in seen.links} == results.keys()


def test_a_long_page_begins_with_the_way_to_its_parts(rows):
    seen = parsed(rows)
    assert seen.jumps == {"lost", "flags", "equal", "close", "checks", "places"}
    assert f"no grade {sum(row.result is None for row in rows)}" in section(seen, "")


def test_who_has_no_grade_is_told_with_the_reason(rows):
    text = section(parsed(rows), "No grade")
    for row in rows:
        assert (f"{row.entry.students[0].name}" in text) == (row.result is None)
        assert row.result or f"{row.reason}" in text


def test_flags_name_who_and_what(rows):
    text = section(parsed(rows), "Flags")
    flagged = [row for row in rows if row.result and row.result.flags]
    assert flagged
    for row in flagged:
        assert f"{row.entry.students[0].name}" in text
        assert row.result.flags[0].message in text


def test_equal_hand_ins_stand_together_and_unreadable_ones_do_not(rows):
    lost = [row for row in rows if row.result][:4]
    unread = [replace(row, result=replace(row.result, submission_digest="")) for row in lost]
    text = section(parsed([*rows, *unread]), "Equal hand-ins")
    alike = [row for row in rows if row.result and row.result.submission_digest.endswith("05")]
    alike = [row for row in alike if int(row.result.submission_digest, 16) == 5]
    assert len(alike) > 1
    assert (
        "; ".join(
            ", ".join(student.name for student in row.entry.students)
            for row in sorted(alike, key=lambda row: -row.result.score)
        )
        in text
    )
    assert text.count("Student") == len(alike)
    assert not has(parsed([rows[0], rows[1]]), "Equal hand-ins")


def test_who_is_near_a_step_is_told_by_the_distance_to_it(rows):
    text = section(parsed(rows), "Near a step")
    near = 0
    for row in rows:
        close = row.result is not None and any(
            abs(row.result.metrics[f"{problem}_nll"] - step[0]) <= 0.04
            for problem, steps in STEPS.items()
            for step in steps
        )
        near += close
        assert (row.entry.students[0].name in text) == close
    assert 0 < near < len(rows)


def test_the_checks_that_fail_most_come_first_with_their_shares(rows):
    checks = [check for row in rows if row.result for check in row.result.checks]
    body = page.render(rows).partition("Checks that fail most")[2].partition("Leaderboard")[0]
    found = re.findall(r"<td>(\S+) <code.*?>(\d+) of (\d+)</td>.*?width: ([\d.]+)%", body)
    assert len(found) >= len(CHECKS)
    assert [int(line[1]) for line in found] == sorted((int(f[1]) for f in found), reverse=True)
    for id, failed, run, share in found:
        mine = [check.passed for check in checks if check.id == id and check.passed is not None]
        assert (int(failed), int(run)) == (mine.count(False), len(mine))
        assert float(share) == pytest.approx(100 * mine.count(False) / len(mine), abs=0.051)


def test_a_check_that_was_not_run_is_no_failure():
    result = made_up(2)[1].result
    rows = [
        Row(
            Entry("a", Path("x"), (Student("A"),)),
            replace(result, checks=(Check("x.y", "title", None),)),
        )
    ]
    assert not has(parsed(rows), "Checks that fail most")


@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.3, 5.0])
@pytest.mark.parametrize("amount", [1, 2, 500])
@pytest.mark.parametrize("steps", [(), tuple(map(tuple, STEPS["prediction"]))])
def test_a_histograms_bars_stand_for_all_values_in_their_places(spread, amount, steps):
    rng = np.random.default_rng(7)
    values = [float(v) for v in 5 + spread * rng.standard_normal(amount).clip(-1, 9)]
    drawn = histogram.histogram(values, steps)
    unit = histogram.HEIGHT / drawn.highest
    assert sum(round(bar.height / unit) for bar in drawn.bars) == amount
    assert all(bar.y + bar.height == pytest.approx(drawn.base, abs=0.11) for bar in drawn.bars)
    assert all(bar.x >= -0.01 and bar.x + bar.width <= 100.1 for bar in drawn.bars)
    if steps:  # the median's bar holds the median, by the axis that the steps are drawn on
        (a, _), (b, _) = steps[0], steps[-1]
        marks = sorted(mark.x for mark in drawn.steps)
        at = marks[0] + (statistics.median_low(values) - a) / (b - a) * (marks[-1] - marks[0])
        assert any(bar.x - 0.1 <= at <= bar.x + bar.width + 0.1 for bar in drawn.bars)


def test_a_histogram_counts_as_numpy_does_and_keeps_outliers_in_its_last_bar():
    values = [float(v) for v in np.random.default_rng(3).gamma(2, 2, 300)]
    drawn = histogram.histogram([*values, 1e4], ((3.0, 50), (6.0, 0)))
    low, high = (mark.x for mark in drawn.ticks[:: len(drawn.ticks) - 1])
    first, last = (float(mark.text) for mark in drawn.ticks[:: len(drawn.ticks) - 1])
    unit = (last - first) / (high - low)
    edges = [first + unit * (x - low) for x in np.arange(0, 100.1, drawn.bars[0].width)]
    counts, _ = np.histogram(values, bins=[*edges[:-1], np.inf])
    counts[-1] += 1
    told = [round(bar.height / histogram.HEIGHT * drawn.highest) for bar in drawn.bars]
    assert sum(told) == 301
    # An edge read off the drawing is good to a hundredth of a percent of its width.
    assert np.abs(counts[counts > 0][: len(told)] - told).sum() <= 4
    assert drawn.beyond >= 1 and "past the axis' end" in drawn.summary


def test_every_step_of_the_rubric_is_drawn(rows):
    html = page.render(rows)
    for problem, title in (("prediction", "Prediction NLL"), ("generation", "Generation NLL")):
        chart = html.partition(f"<h3>{title}</h3>")[2].partition("</svg>")[0]
        points = [float(text) for text in re.findall(r'<text class="reference".*?>(\d+)<', chart)]
        assert points == [step[1] for step in STEPS[problem]]
        places = [float(x) for x in re.findall(r'<line class="reference" x1="([\d.]+)%', chart)]
        at = [step[0] for step in STEPS[problem]]
        assert np.corrcoef(places, at)[0, 1] > 0.99999


def test_without_names_nothing_is_about_one_person(rows):
    html = page.render(rows, names=False)
    seen = Page(html)
    assert not seen.links
    for name in ("No grade", "Flags", "Equal", "Near a step"):
        assert not has(seen, name)
    for row in rows:
        assert row.entry.key not in html
        assert all(student.name not in html for student in row.entry.students)
    assert re.findall(r"hand-in (\d+)<", html) == [
        str(n + 1) for n in range(sum(row.result is not None for row in rows))
    ]


def test_what_strangers_wrote_is_shown_and_does_not_act():
    rows = []
    for row in made_up(12):
        result = row.result and replace(
            row.result,
            submission=HOSTILE,
            corpus=HOSTILE,
            flags=(Flag(HOSTILE, HOSTILE),),
            checks=(*row.result.checks, Check(f"x.{HOSTILE}", HOSTILE, False)),
            submission_digest="a" * 64,
        )
        entry = replace(row.entry, students=(Student(HOSTILE, HOSTILE, HOSTILE),), reason=HOSTILE)
        rows.append(Row(entry, result, HOSTILE))
    html = page.render(rows, title=HOSTILE)
    seen = Page(html)
    assert not seen.tags & {"script", "img"}
    assert "onerror" not in seen.attributes
    assert "\x1b" not in html and "\u202e" not in html and "49" not in seen.sections[""]
    shown = "</style><script>alert(1)</script><img src=x onerror=a()>\"'{{7*7}}"
    for name in ("", "No grade", "Flags", "Equal", "Checks", "Leaderboard"):
        assert shown in section(seen, name)
    assert unescape(html).count(shown) > 12


def test_marks_of_different_kinds_are_told(rows):
    assert "not of one kind" not in page.render(rows)
    other = replace(rows[1], result=replace(rows[1].result, rubric="other"))
    assert "not of one kind" in page.render([*rows, other])


def test_practice_is_told(rows):
    practice = [replace(r, result=r.result and replace(r.result, official=False)) for r in rows]
    assert "practice, not official" in page.render(practice)
    assert "All officially" in page.render(rows)
    mixed = section(parsed([*rows[:3], *practice[4:6]]), "")
    assert "3 officially, 2 as practice" in mixed


def test_a_result_without_figures_has_its_place():
    result = replace(made_up(2)[1].result, metrics={}, scales={}, checks=())
    rows = [Row(Entry("a", Path("x"), (Student("Ann"),)), result)]
    assert "Ann" in section(parsed(rows), "Leaderboard")


def test_a_class_of_three_thousand_stays_usable(tmp_path):
    rows = made_up(3000)
    started = time.monotonic()
    page.write(rows, tmp_path / "class.html", title="Big")
    assert time.monotonic() - started < 30
    assert (tmp_path / "class.html").stat().st_size < 3e6
    assert Page((tmp_path / "class.html").read_text(encoding="utf-8")).tags >= {"svg", "table"}
    assert page.render(rows).partition("Leaderboard")[2].count("/report.html") == 2700
