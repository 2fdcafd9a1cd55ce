"""Verdicts and their weight, the pass rate, and the reports for machines."""

import re
from xml.etree import ElementTree as xml

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsectl.recipes.report import CaseReport, RecipeReport, first_difference, junit, pass_rate, tap, worst
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED


def report(*verdicts: str, seen: str = "2") -> RecipeReport:
    made = RecipeReport("r.md", "Title")
    for number, verdict in enumerate(verdicts, 1):
        case = CaseReport(f"case {number}", "r.md", number)
        case.decide(verdict, number + 10, "expect get k .value == 1", "== 1", seen, 0.5)
        made.cases.append(case)
    return made


@pytest.mark.parametrize(
    "verdicts,weighs",
    [
        ([PASSED, PASSED], PASSED),
        ([PASSED, INCONCLUSIVE], INCONCLUSIVE),
        ([INCONCLUSIVE, FAILED, PASSED], FAILED),
        ([], INCONCLUSIVE),
    ],
)
def test_the_heaviest_verdict_counts(verdicts: list[str], weighs: str) -> None:
    assert worst(verdicts) == weighs == report(*verdicts).verdict


def test_the_first_reason_of_the_heaviest_verdict_stays() -> None:
    case = CaseReport("c", "r.md", 1)
    case.decide(INCONCLUSIVE, 2, "a", "x", "y", 0.1)
    case.decide(FAILED, 3, "b", "x", "y", 0.2)
    case.decide(FAILED, 4, "c", "x", "y", 0.3)
    case.decide(INCONCLUSIVE, 5, "d", "x", "y", 0.4)
    assert (case.verdict, case.line, case.step, case.at_s) == (FAILED, 3, "b", 0.2)


@pytest.mark.parametrize(
    "passed,runs,low,high",
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1.0)],
)
def test_wilsons_interval(passed: int, runs: int, low: float, high: float) -> None:
    """Figures of the score interval without continuity correction, as tables of it give them."""
    share, found_low, found_high = pass_rate(passed, runs)
    assert share == passed / runs
    assert (round(found_low, 4), round(found_high, 4)) == (low, high)


def test_the_first_difference_names_run_and_reason() -> None:
    assert first_difference([report(PASSED), report(PASSED)]) == ""
    text = first_difference([report(PASSED, PASSED), report(PASSED, PASSED), report(PASSED, FAILED)])
    assert text.startswith("run 3: case 2: failed, and passed in run 1") and "r.md:12" in text
    assert "r.md:11" in first_difference([report(FAILED), report(PASSED)])


def test_junit_counts_and_tells() -> None:
    root = xml.fromstring(junit([report(PASSED, FAILED), report(INCONCLUSIVE)]))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    failure = root.find(".//failure")
    error = root.find(".//error")
    assert failure is not None and error is not None
    assert failure.get("type") == "failed" and error.get("type") == "inconclusive"
    assert "expected == 1; saw 2" in (failure.get("message") or "")
    assert (failure.text or "").startswith("r.md:12: expect get k .value == 1\n")


ATTRIBUTES = {
    "testsuites": ((), ("name", "time", "tests", "failures", "errors")),
    "testsuite": (
        ("name", "tests", "failures", "errors"),
        *(("group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"),),
    ),
    "properties": ((), ()),
    "property": (("name", "value"), ()),
    "testcase": (("name",), ("time", "classname", "group")),
    **dict.fromkeys(("failure", "error", "skipped"), ((), ("type", "message"))),
    **dict.fromkeys(("system-out", "system-err"), ((), ())),
}
"""What Jenkins' junit-10.xsd allows: for each element the attributes that must be there, and those that may be."""
CHILDREN = {
    "testsuites": ("testsuite",),
    "testsuite": ("testsuite", "properties", "testcase", "system-out", "system-err"),
    "properties": ("property",),
    "testcase": ("skipped", "error", "failure", "system-out", "system-err"),
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def validated(element: xml.Element) -> xml.Element:
    """Assert that an element and all below it are as the schema wants them."""
    must, may = ATTRIBUTES[element.tag]
    assert set(must) <= set(element.attrib) <= {*must, *may}, element.attrib
    assert TIME.fullmatch(element.get("time", "0"))
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, ()), (element.tag, child.tag)
        validated(child)
    return element


def test_junit_is_what_jenkins_accepts() -> None:
    made = report(PASSED, FAILED, INCONCLUSIVE)
    made.took_s, made.time_scale, made.interrupted, made.kept = 12345.6789, 2.0, True, "/kept/r"
    made.cases[0].faults = [{"id": "f1", "kind": "kill", "target": "n1", "affected": 3, "links": {"n2->n1": 3}}]
    made.cases[0].warnings = ["partition n1 | n2 (f2) touched nothing on n1->n2"]
    root = validated(xml.fromstring(junit([made, RecipeReport("empty.md", "Empty")])))
    told = root.findtext(".//system-out") or ""
    assert "f1 kill n1: 3 affected (n2->n1: 3)" in told and "warning: partition" in told
    first = next(root.iter("properties"))
    told_of = {one.get("name"): one.get("value") for one in first}
    assert (told_of["interrupted"], told_of["kept"], told_of["time_scale"]) == ("true", "/kept/r", "2")


@given(st.text())
def test_any_character_can_be_in_the_reports(text: str) -> None:
    """XML has no way to write most control characters, and half of a pair is no character at all."""
    made = report(FAILED, seen=text)
    made.title = made.cases[0].name = text
    root = validated(xml.fromstring(junit([made])))
    assert root.find(".//failure") is not None
    lines = tap([made])
    assert all("\n" not in line and "\x1b" not in line for line in lines)
    assert set(yaml.safe_load("\n".join(lines[4:-1]))) == {"verdict", "at", "step", "expected", "seen"}


def test_tap() -> None:
    lines = tap([report(PASSED, FAILED)])
    assert lines[:4] == ["TAP version 14", "1..2", "ok 1 - Title: case 1", "not ok 2 - Title: case 2"]
    assert lines[4] == "  ---" and lines[-1] == "  ..."


def test_tap_says_that_it_was_interrupted() -> None:
    made = report(INCONCLUSIVE)
    made.interrupted = True
    made.cases[0].warnings = ["something"]
    assert tap([made])[-2:] == ["# warning: something", "# interrupted"]
