"""Reports for machines: JUnit XML as CI systems read it, and TAP (version 14, https://testanything.org).

XML 1.0 has no way to write most control characters, so they are escaped as text.
"""

from xml.etree import ElementTree as xml

from dsectl.recipes.report import CaseReport, RecipeReport, counts
from dsectl.script.polling import FAILED, INCONCLUSIVE, PASSED
from dsectl.ui.text import shown


def junit(reports: list[RecipeReport]) -> bytes:
    """One suite a recipe, one test case a case; `inconclusive` is an error of that type."""
    found = counts(reports)
    root = xml.Element(
        "testsuites",
        name="dsectl",
        tests=str(sum(found.values())),
        failures=str(found[FAILED]),
        errors=str(found[INCONCLUSIVE]),
        time=f"{sum(report.took_s for report in reports):.3f}",
    )
    for report in reports:
        suite = xml.SubElement(
            root,
            "testsuite",
            name=clean(report.title),
            file=clean(report.file),
            tests=str(len(report.cases)),
            failures=str(report.count(FAILED)),
            errors=str(report.count(INCONCLUSIVE)),
            time=f"{report.took_s:.3f}",
        )
        for case in report.cases:
            _case(suite, report, case)
    xml.indent(root)
    text: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: xml.Element, report: RecipeReport, case: CaseReport) -> None:
    element = xml.SubElement(
        suite,
        "testcase",
        name=clean(case.name),
        classname=clean(report.title),
        file=clean(case.file),
        line=str(case.line),
        time=f"{case.took_s:.3f}",
    )
    if case.verdict == PASSED:
        return
    tag, kind = ("failure", "failed") if case.verdict == FAILED else ("error", "inconclusive")
    message = f"expected {case.expected}; saw {case.seen}"
    why = xml.SubElement(element, tag, type=kind, message=clean(message))
    kept = f"\nkept: {report.kept}" if report.kept else ""
    why.text = clean(f"{case.file}:{case.line}: {case.step}\n{message}\nafter {case.at_s:.3f} s{kept}", lines=True)


def clean(text: str, lines: bool = False) -> str:
    """Text that XML can hold: what is not printable is escaped; with `lines`, line ends stay."""
    return shown(text, lines=lines)


def tap(reports: list[RecipeReport]) -> list[str]:
    """One line a case, with the reason below one that did not pass."""
    cases = [(report, case) for report in reports for case in report.cases]
    lines = ["TAP version 14", f"1..{len(cases)}"]
    for number, (report, case) in enumerate(cases, 1):
        name = clean(f"{report.title}: {case.name}").replace("#", "\\#")
        if case.verdict == PASSED:
            lines.append(f"ok {number} - {name}")
            continue
        lines.append(f"not ok {number} - {name}")
        lines += ["  ---", *(f"  {key}: {_yaml(value)}" for key, value in _details(case).items()), "  ..."]
    return lines


def _details(case: CaseReport) -> dict[str, str]:
    return {
        "verdict": case.verdict,
        "at": f"{case.file}:{case.line}",
        "step": case.step,
        "expected": case.expected,
        "seen": case.seen,
    }


def _yaml(text: str) -> str:
    """A YAML string in double quotes, which are those of JSON."""
    from msgspec import json

    return json.encode(clean(text)).decode()
