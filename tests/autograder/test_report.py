"""report/: what a reader needs is there, on every console; nothing that a student wrote acts."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from autograder.report import html, terminal
from autograder.report.scale import draw
from autograder.report.text import line, plain
from autograder.result import Check, Flag, Result

STEPS = {
    "prediction": [[5.0, 50], [5.2, 45], [5.4, 40], [6.0, 20], [7.0, 0]],
    "generation": [[3.0, 50], [3.5, 40], [4.5, 20], [6.0, 0]],
}
FULL = Result(
    submission="team 7",
    submission_digest="5a" * 32,
    corpus="numbers",
    fixtures="f1" * 32,
    rubric="0b" * 32,
    official=False,
    checks=(
        Check("data_loader.order", "loader order", True, "12 batches seen"),
        Check(
            "data_loader.targets",
            "targets are ahead",
            False,
            "targets equal their inputs in 12 of 12 batches; each has to be the word after",
            "slice words[:-1] and words[1:]",
        ),
        Check("data_loader.tail", "the tail is used", None, "not run: needs the targets"),
        Check("language_model.shape", "scores have a shape", True, "(3, 4, 5)"),
        Check("trainer.step", "a step lowers the loss", None, "not run: needs the loader"),
        Check("inference.finite", "scores are finite", False, "3 NaN\nin 16 rows", "mind log(0)"),
        Check("regularization.ar", "AR is the mean square", False, "0.0 seen", "square it"),
        Check("weights.load", "weights load", True, "they do", score=2.5, max_score=5),
        Check("prediction", "next word", False, "5.1 seen, 5.0 wanted", "train", 47.5, 50),
        Check("generation", "text", True, "fine", score=50, max_score=50),
    ),
    metrics={
        "prediction_nll": 5.1,
        "prediction_nll_stderr": 0.021,
        "prediction_nll_plain": 5.13,
        "prediction_nll_plain_stderr": 0.081,
        "prediction_ppl": 164.02,
        "generation_nll": 2.25,
        "generation_nll_stderr": 0.055,
        "generation_distinct_2": 0.5,
        "generation_degenerate": 0.125,
        "generation_unk": 0.02,
        "referee_prediction_nll": 4.61,
        "human_generation_nll": 4.4,
        "uniform_nll": 10.41,
    },
    flags=(Flag("fast", "faster than light"),),
    scales=STEPS,
    samples=({"prompt": "one . two .", "generated": "three . four", "human": "three . five"},),
    notice="practice only\nsay CORPUS=wikitext2",
    timing={"total": 12.5},
    environment={"python": "3.11"},
)
FAILED = [check for check in FULL.checks if check.passed is False]

# Each part is a known way to act on a reader's terminal or browser.
HOSTILE = (
    "\x1b[38;5;123m\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example/\x1b\\\x1bPq\x1b\\\x9b31m"
    "\x00\x07\b\r\x7f\x85\u202e\u2066\u200f\u061c\u200b\u200d\ufeff\u00ad\U000e0041\ud800"
    "</script></style></title><script>alert(1)</script><img src=https://evil.example/p.png>"
    "\"'><svg/onload=alert(1)>{{7*7}}{%raw%}![p](https://evil.example/p.png)"
    "[red]x[/red][/][link=https://evil.example/]y[/link]"
)
FORBIDDEN = {
    *(set(range(0x20)) - {0x0A}),
    *range(0x7F, 0xA0),
    0xAD,
    0x61C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
}
ROOM_OF_A_LABEL = 330  # pixels: a phone's width less its margins


def unsafe(text: str) -> set[str]:
    return {f"U+{ord(character):04X}" for character in text if ord(character) in FORBIDDEN}


def squeezed(text: str) -> str:
    """Without white space, so that wrapping does not matter."""
    return "".join(text.split())


def printed(result: Result, width: int = 80, encoding: str = "utf-8", **console: object) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    terminal.show(result, Console(file=stream, width=width, **console), Path("runs/report.html"))
    stream.flush()
    return raw.getvalue().decode(encoding)


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, and text by the tags around it."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input", "base", "col", "embed", "source"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.open: list[tuple[str, str]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        around = tuple(f"{tag}.{name}".replace(" ", ".") for tag, name in self.open)
        self.texts.append((around, data))

    def text(self, inside: str = "body") -> str:
        return "".join(data for around, data in self.texts if any(inside in tag for tag in around))


def changed(value: object, suffix: str, ids: bool) -> object:
    """The value with `suffix` after every text in it, checks' ids only where asked."""
    if isinstance(value, str):
        return value + suffix
    if isinstance(value, tuple):
        return tuple(changed(item, suffix, ids) for item in value)
    if isinstance(value, dict):
        return {key: changed(item, suffix, ids) for key, item in value.items()}
    if is_dataclass(value):
        kept = {"id"} if not ids else set()
        names = [field.name for field in fields(value) if field.name not in kept]
        return replace(
            value, **{name: changed(getattr(value, name), suffix, ids) for name in names}
        )
    return value


def infested(suffix: str, ids: bool = False) -> Result:
    result = changed(FULL, suffix, ids)
    return replace(
        result,
        metrics={**FULL.metrics, f"odd{suffix}": 1.0},
        environment={**result.environment, f"odd{suffix}": "x"},
        timing={**FULL.timing, f"odd{suffix}": 1.0},
        samples=(*result.samples, {"prompt": suffix}),
    )


# plain


@pytest.mark.parametrize("place", range(0, 0x110000, 0x10000))
def test_no_code_point_that_acts_or_hides_gets_through(place):
    for start in range(place, place + 0x10000, 0x400):
        text = plain("".join(map(chr, range(start, start + 0x400))))
        assert unsafe(text) == set()
        assert {unicodedata.category(c) for c in text if c != "\n"}.isdisjoint({"Cc", "Cf", "Cs"})


@pytest.mark.parametrize(
    "text",
    ["naïve Ωμέγα, 漢字 и שלום عربى", "a\nb\n\n c", "e\u0301 = \u00e9", "5 ± 2 → 7 “so” 🎉", ""],
)
def test_readable_text_stays_as_it_is(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x1b[1;31mb\x1b[0mc", "abc"),
        ("a\x9b31mb", "ab"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;https://evil.example\x1b\\b", "ab"),
        ("a\x1bPdata\x1b\\b", "ab"),
        ("a\x1bcb", "ab"),
        ("a\x1b]0;never ends", "a0;never ends"),
        ("a\r\nb\rc\x0bd", "a\nb\nc\nd"),
        ("ab\tc", "ab  c"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 3),
    ],
)
def test_escape_sequences_go_as_a_whole(text, left):
    assert plain(text) == left


@pytest.mark.parametrize("size", [1, 9, 10, 11, 79, 80, 81, 500])
def test_the_limit_holds_and_a_cut_shows(size):
    text = plain("x" * size, limit=10)
    assert text == ("x" * size if size <= 10 else "x" * 9 + "…")


@pytest.mark.timeout(30)
def test_a_flood_of_unfinished_escapes_is_cheap():
    assert len(plain("\x1b]\x1b[" * 5_000_000)) <= 2000


def test_a_line_has_one_line():
    assert line("  a\n\n b\r\nc ") == "a b c"


# hostile text


@pytest.mark.parametrize("ids", [False, True])
def test_hostile_text_adds_no_tag_and_no_attribute_to_the_page(ids):
    hostile, benign = (
        Page(html.render(infested(HOSTILE, ids))),
        Page(html.render(infested("Z", ids))),
    )
    assert [(tag, [*attributes]) for tag, attributes in hostile.tags] == [
        (tag, [*attributes]) for tag, attributes in benign.tags
    ]


@pytest.mark.parametrize("ids", [False, True])
def test_hostile_text_reaches_the_page_as_visible_text_only(ids):
    source = html.render(infested(HOSTILE, ids))
    assert unsafe(source) == set()
    assert re.search(r"<(script|img|svg/)", source, re.IGNORECASE) is None
    text = Page(source).text()
    assert "<img src=https://evil.example/p.png>" in text
    assert "{{7*7}}" in text
    assert "owned" not in source
    source.encode()  # no surrogate is left


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("width", [40, 80])
def test_hostile_text_reaches_a_pipe_as_visible_text_only(ids, width):
    text = printed(infested(HOSTILE, ids), width)
    assert unsafe(text) == set()
    assert "[red]x[/red][/][link=https://evil.example/]y[/link]" in squeezed(text)


@pytest.mark.parametrize("ids", [False, True])
def test_a_terminal_gets_no_escapes_but_the_renderers_own_colours(ids):
    text = printed(infested(HOSTILE, ids), force_terminal=True, color_system="truecolor")
    assert "\x1b[" in text
    assert "38;5;123" not in text
    assert unsafe(re.sub(r"\x1b\[[0-9;]*m", "", text)) == set()


def test_the_report_path_stays_on_one_line_to_be_copied():
    path = Path("runs") / ("long name " * 12) / "report.html"
    stream = io.StringIO()
    terminal.show(FULL, Console(file=stream, width=40), path)
    assert stream.getvalue().endswith("/report.html\n")
    assert stream.getvalue().split("\n")[-2].startswith("Report runs/long name long")


def test_a_hostile_report_path_is_cleaned_too():
    stream = io.StringIO()
    terminal.show(FULL, Console(file=stream, width=80), Path("runs/a\x1b[2J[red]\u202eb.html"))
    assert "Report runs/a[red]b.html\n" in stream.getvalue()


# the page stands alone


def test_the_page_asks_for_nothing_outside_itself():
    source = html.render(FULL)
    page = Page(source)
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form", "img"})
    loading = {"src", "href", "srcset", "xlink:href", "action", "data", "poster", "background"}
    targets = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in loading
    ]
    assert targets  # the link to the first failure
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert re.search(r"url\(|@import|https?:", source) is None
    policies = [a for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert [policy["content"] for policy in policies] == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ]


def test_links_lead_to_ids_that_are_there_once():
    page = Page(html.render(FULL))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in page.tags if tag == "a"} <= set(ids)


def test_headings_go_down_one_level_at_a_time_from_one_h1():
    levels = [int(tag[1]) for tag, _ in Page(html.render(FULL)).tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_can_be_read_on_its_ground_in_light_dark_and_print():
    themes = re.findall(r":root \{(.*?)\}", html.render(FULL), re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#\w{3,8});", theme))
        full = {
            n: "#" + "".join(c * 2 for c in v[1:]) if len(v) == 4 else v for n, v in colours.items()
        }
        for ground in ("paper", "sheet"):
            # WCAG 2.1, 1.4.3 for text and 1.4.11 for lines.
            needed = {"ink": 4.5, "soft": 4.5, "good": 4.5, "bad": 4.5, "wait": 4.5, "mine": 4.5}
            for name, least in {**needed, "curve": 3.0}.items():
                dark, light = sorted((luminance(full[name]), luminance(full[ground])))
                assert (light + 0.05) / (dark + 0.05) >= least, (theme, name, ground)


def test_the_page_is_written_whole_and_alone(tmp_path):
    path = tmp_path / "a b.html"
    html.write(FULL, path)
    assert path.read_bytes().decode() == html.render(FULL)
    assert list(tmp_path.iterdir()) == [path]


# what a reader needs


@pytest.mark.parametrize("check", FAILED, ids=lambda check: check.id)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_failure_says_what_was_seen_and_what_to_try(check, encoding):
    for text in (printed(FULL, encoding=encoding), Page(html.render(FULL)).text()):
        assert squeezed(check.message) in squeezed(text)
        assert squeezed(check.hint) in squeezed(text)


def test_a_failure_is_marked_and_its_hint_follows_it():
    rows = printed(FULL).split("\n")
    place = rows.index("  ✗ targets are ahead")
    assert "targets equal their inputs" in rows[place + 1]
    assert "    → slice words[:-1] and words[1:]" in rows[place + 2 : place + 4]


def test_what_was_not_run_is_shown_as_not_run():
    rows = printed(FULL).split("\n")
    assert "  – 1 check not run: needs the targets" in rows  # beside a failure: one line
    place = rows.index("– trainer: 1 check not run")  # alone: by name
    assert rows[place + 1 : place + 3] == ["  – a step lowers the loss", "    needs the loader"]
    page = Page(html.render(FULL))
    assert squeezed(page.text("div.told.not-run")) == squeezed(
        "– not run: the tail is used  Not run: needs the targets"
        "– not run: a step lowers the loss  Not run: needs the loader"
    )
    assert "the tail is used" not in page.text("ul.passes") + page.text("div.told.failed")


def test_checks_that_passed_take_one_line_of_a_terminal_and_are_named_on_the_page():
    rows = printed(FULL).split("\n")
    assert "✓ language_model: 1 check passed" in rows
    assert "✗ data_loader: 1 check failed, 1 passed" in rows
    assert not any("loader order" in row for row in rows)
    assert "loader order" in Page(html.render(FULL)).text("ul.passes")


def test_the_score_stands_in_both():
    assert "Score 100 of 105 · practice, not official\n" in printed(FULL)
    assert "Score100of105" in squeezed(Page(html.render(FULL)).text("p.score"))
    some = replace(FULL, official=True, checks=(replace(FULL.checks[-1], score=37.25),))
    assert "Score 37.25 of 50\n" in printed(some)
    assert "not an official" in Page(html.render(FULL)).text("header")
    assert "official" not in Page(html.render(some)).text("header")


def test_problems_show_their_figures_and_the_goal():
    text = printed(FULL)
    assert "✗ prediction: 47.5 of 50 points\n    NLL 5.10 ± 0.02 · perplexity 164 · full" in text
    assert "full points at 5.00 or below" in text
    assert "perplexity 9.49" in text  # exp(2.25) = 9.4877
    page = Page(html.render(FULL))
    for words in ("NLL 5.10 ± 0.02, perplexity 164", "47.5 of 50 points", "45 at 5.20"):
        assert squeezed(words) in squeezed(page.text("section"))
    drawn = page.text("svg.scale")
    assert {"referee 4.61", "guessing 10.41", "human text 4.40", "you: 5.10"} <= {
        words.strip() for words in drawn.split("\n")
    } | set(re.findall(r"[a-z: ]+ \d+\.\d\d", drawn))


def test_full_points_that_luck_could_have_taken_are_told_on_a_terminal_too():
    """Full points at 3.0: 2.95 ± 0.055 is near, 2.25 is not."""
    near = "NLL 2.950, at most 3.0 as full points need. Another draw could give 48 to 50"
    checks = (*FULL.checks[:-1], replace(FULL.checks[-1], message=near))
    for nll, told in ((2.95, True), (2.25, False)):
        result = replace(FULL, checks=checks, metrics={**FULL.metrics, "generation_nll": nll})
        assert (squeezed(near) in squeezed(printed(result))) is told
        assert near in Page(html.render(result)).text()


def test_both_prediction_nlls_are_told_apart():
    text = " ".join(Page(html.render(FULL)).text("table").split())
    for words in ("less what the luck of the draw added", "Plain prediction NLL", "5.13", "± 0.08"):
        assert words in text


def test_the_rest_of_a_result_is_on_the_page():
    text = Page(html.render(FULL)).text()
    for words in ("three . four", "three . five", "faster than light", "12.5 %", "say CORPUS="):
        assert words in text
    assert "f1" * 8 + "…" in text
    assert "f1" * 9 not in text


def test_a_terminal_shows_notice_flags_path_and_where_to_start():
    text = printed(FULL)
    assert "! practice only\n  say CORPUS=wikitext2\n" in text
    assert "  ! faster than light\n" in text
    assert text.endswith("Start with data_loader: targets are ahead\nReport runs/report.html\n")


def test_an_optional_class_is_the_last_to_start_with():
    checks = tuple(
        check for check in FULL.checks if check.group in ("regularization", "prediction")
    )
    assert "Start with prediction: next word" in printed(replace(FULL, checks=checks))
    assert "Start with regularization" in printed(replace(FULL, checks=checks[:1]))


def test_groups_come_in_the_order_of_the_assignment_and_strangers_last():
    checks = tuple(
        Check(f"{name}.a", "t", True)
        for name in ("zoo", "weights", "trainer", "inference", "data_loader", "submission")
    )
    rows = printed(replace(FULL, checks=checks)).split("\n")
    names = [row.split()[1].rstrip(":") for row in rows if row.startswith("✓ ")]
    assert names[:6] == ["submission", "data_loader", "trainer", "inference", "weights", "zoo"]


def test_equal_failures_of_a_class_are_told_once():
    checks = tuple(Check(f"trainer.{n}", f"title {n}", False, "same", "hint me") for n in range(3))
    result = replace(FULL, checks=checks, metrics={}, scales={})
    for text in (printed(result), Page(html.render(result)).text("section")):
        assert text.count("hint me") == 1
        assert all(f"title {n}" in text for n in range(3))


@pytest.mark.parametrize("metrics", [{}, {"uniform_nll": 10.41}, {"generation_nll": 900.0}])
@pytest.mark.parametrize("scales", [{}, STEPS])
@pytest.mark.parametrize("checks", [(), FULL.checks])
def test_a_result_with_little_in_it_is_shown(metrics, scales, checks):
    result = Result("s", "", "numbers", "", "", True, checks, metrics, scales=scales)
    assert result.checks == checks
    assert f"Score {100 if checks else 0} of {105 if checks else 0}\n" in printed(result)
    text = squeezed(Page(html.render(result)).text())
    unmeasured = bool(checks or scales)
    assert ("NoNLLcouldbemeasured" in text) == unmeasured
    assert ("no NLL measured" in printed(result)) == unmeasured


def test_checks_alone_are_shown_without_points():
    stream = io.StringIO()
    terminal.show_checks(FULL.checks[:5], Console(file=stream, width=80))
    text = stream.getvalue()
    assert "✗ data_loader: 1 check failed, 1 passed" in text
    assert text.endswith(
        "1 check failed, 2 passed, 2 not run\nStart with data_loader: targets are ahead\n"
    )
    assert "Score" not in text


# consoles


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("terminal_", [False, True])
def test_a_console_without_utf8_gets_characters_that_it_has(encoding, terminal_):
    result = infested(" naïve 漢字 ✓ 🎉")
    text = printed(result, encoding=encoding, force_terminal=terminal_)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "x data_loader: 1 check failed, 1 passed" in text
    assert "-> slice words[:-1]" in text
    assert "NLL 5.10 +/- 0.02 | perplexity 164" in text
    if encoding == "ascii":
        assert text.isascii()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_pipe_gets_no_boxes_no_trailing_blanks_and_no_line_too_wide(width):
    text = printed(infested(" and 漢字 words " * 9 + "w" * 150), width)
    rows = text.removesuffix("\n").split("\n")
    assert rows[-1] == "Report runs/report.html"
    assert max(cell_len(row) for row in rows) <= min(width, 100)
    assert all(row == row.rstrip() for row in rows)
    assert re.search("[\u2500-\u257f]", text) is None


def test_a_terminal_gets_the_notice_in_a_box_of_its_width():
    text = printed(FULL, 60, force_terminal=True, no_color=True, color_system=None)
    box = [row for row in text.split("\n") if row[:1] in "╭│╰" and row]
    assert len(box) == 4
    assert {cell_len(row) for row in box} == {60}


def test_a_long_message_is_cut_in_a_terminal_and_whole_on_the_page():
    message = "word " * 300 + "END"
    result = replace(FULL, checks=(replace(FAILED[0], message=message),))
    assert "END" not in printed(result)
    assert "…" in printed(result)
    assert "END" in Page(html.render(result)).text("div.told")


# the drawing


def test_the_axis_is_linear_and_holds_everything():
    steps = [(5.0, 50.0), (5.2, 45.0), (6.0, 20.0), (7.0, 0.0)]
    scale = draw(steps, 5.5, 0.1, 33.0, [("referee", 4.6), ("guessing", 10.41)])
    at = {mark.text.split()[-1]: mark.x for mark in scale.references}
    per_nat = (at["10.41"] - at["4.60"]) / (10.41 - 4.6)
    # Two roundings to 0.01 percent.
    assert scale.here.x == pytest.approx(at["4.60"] + per_nat * 0.9, abs=0.03)
    assert scale.band[1] == pytest.approx(per_nat * 0.4, abs=0.03)
    assert [line.x2 for line in scale.rubric[:-1]] == pytest.approx(
        [at["4.60"] + per_nat * (nll - 4.6) for nll, _ in steps], abs=0.03
    )
    for tick in scale.ticks:
        assert tick.x == pytest.approx(at["4.60"] + per_nat * (float(tick.text) - 4.6), abs=0.03)
    # Down, points are linear too: 33 of 50 between the heights of 50 and of 0.
    heights = [scale.rubric[0].y1, scale.rubric[-1].y2]
    assert scale.earned == pytest.approx(heights[1] + (heights[0] - heights[1]) * 0.66, abs=0.1)


@pytest.mark.parametrize("value", [-3.0, 0.0, 0.004, 5.0, 7.0, 35.2, 1e9])
@pytest.mark.parametrize("steps", [[], [(0.6, 50.0), (2.6, 0.0)], [(5.0, 50.0), (7.0, 0.0)]])
def test_no_nll_leaves_the_drawing(value, steps):
    scale = draw(steps, value, 0.2, 0.0, [("guessing", 10.41)])
    marks = [scale.here, *scale.steps, *scale.ticks, *scale.references]
    assert all(0 <= mark.x <= 100 for mark in marks)
    assert 0 <= scale.band[0] <= scale.band[0] + scale.band[1] <= 100
    assert scale.beyond == (value > 30)
    assert 1 <= len(scale.ticks) <= 12


def test_no_two_labels_touch_on_a_phone():
    names = [("referee", 4.61), ("guessing", 10.41), ("human text", 4.7), ("other", 4.8)]
    scale = draw(
        [(a, 50 - 5 * n) for n, a in enumerate((5.0, 5.05, 5.1, 6, 7))], 6.5, 0.1, 10, names
    )
    assert {mark.text for mark in scale.steps} >= {"50", "30"}  # the outermost stay
    for marks in (scale.references, scale.steps, scale.ticks):
        spans = []
        for mark in marks:
            width = 100 * 6 * len(mark.text) / ROOM_OF_A_LABEL  # six pixels a character
            left = mark.x - width * {"start": 0, "middle": 0.5, "end": 1}[mark.anchor]
            assert left >= -0.01
            assert left + width <= 100.01
            spans.append((left, left + width, mark.y))
        for n, (left, right, y) in enumerate(spans):
            for other_left, other_right, other_y in spans[:n]:
                assert right <= other_left or other_right <= left or abs(y - other_y) >= 12


def test_nothing_to_place_gives_no_drawing():
    assert draw([], None, None, None, []) is None
