"""JUnit XML, which every system of continuous integration shows: a test case a check."""

import argparse
from pathlib import Path
from xml.etree import ElementTree as ET

from ..faults import Fault
from ..result import Result
from . import base


class JUnit:
    """Writes junit.xml."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._source = options.submission or Path("handout")
        self._out = options.out or Path("junit.xml")

    def outputs(self) -> tuple[Path, ...]:
        """The report."""
        return (self._out,)

    def source(self) -> Path:
        """A folder or hand-in file."""
        if not self._source.exists():
            raise Fault(f"there is no {self._source}: name a folder or a hand-in file")
        return self._source

    def render(self, result: Result) -> base.Page:
        """Failures with their messages; what was not run is skipped."""
        items = base.items(result)
        suite = _suite(
            tests=len(items),
            failures=sum(item.passed is False for item in items),
            skipped=sum(item.passed is None for item in items),
            time=round(result.timing.get("total", 0.0), 3),
        )
        for item in items:
            case = ET.SubElement(
                suite, "testcase", name=item.title, classname=item.group, time=f"{item.seconds:.3f}"
            )
            if item.passed is False:
                ET.SubElement(case, "failure", message=item.text.split("\n")[0]).text = item.text
            elif item.passed is None:
                ET.SubElement(case, "skipped", message=item.text.split("\n")[0])
        ET.SubElement(suite, "system-out").text = base.summary(result)
        return base.Page({self._out: _text(suite)}, base.summary(result).split("\n")[0] + "\n")

    def fault(self, reason: str) -> base.Page:
        """An error, which is neither passed nor failed."""
        suite = _suite(tests=1, errors=1)
        case = ET.SubElement(suite, "testcase", name="grading", classname="grader")
        ET.SubElement(case, "error", message=reason.split("\n")[0]).text = base.no_grade(reason)
        return base.Page({self._out: _text(suite)}, base.no_grade(reason), status=3)


platform = JUnit


def _suite(**counts: float) -> ET.Element:
    every = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0} | counts
    return ET.Element("testsuite", name="lm-kit", **{k: str(v) for k, v in every.items()})


def _text(suite: ET.Element) -> str:
    ET.indent(suite)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(suite, encoding='unicode')}\n"
