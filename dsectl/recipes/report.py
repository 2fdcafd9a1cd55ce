"""What became of recipes, as values and as reports for machines: JUnit XML and TAP (version 14, testanything.org).

Verdicts in the order of their weight: failed, inconclusive, passed. Pure. JUnit has no one definition; this is the part
of it that Jenkins' schema junit-10.xsd allows. XML 1.0 has no way to write most control characters, so they are escaped
as text.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from xml.etree import ElementTree as xml

from dsectl.ui.text import count, shown
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

TO_RUN = "to run"
"""What was expected of a case that was not run, because one before it had failed or the run was interrupted."""
INTERRUPTED = "interrupted"
Z_95 = 1.96
"""Two-sided 95 % of a normal distribution."""


@dataclass
class CaseReport:
    """One case; `line`, `step`, `expected` and `seen` tell of the step that decided, when it did not pass."""

    name: str
    file: str
    line: int
    verdict: str = PASSED
    step: str = ""
    expected: str = ""
    seen: str = ""
    at_s: float = 0.0
    """When it was decided, in seconds since the cluster was ready; 0 when it did not begin."""
    took_s: float = 0.0
    steps: int = 0
    account: Any = None
    """The JSON that the deciding step's command printed, as the account of a load."""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What was done to the cluster, and what it touched: `id kind target affected links`."""
    warnings: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The line that decided."""
        return f"{self.file}:{self.line}"

    def decide(self, verdict: str, line: int, step: str, expected: str, seen: str, at_s: float) -> None:
        """It did not pass, and this is why; the first reason of the heaviest verdict stays."""
        if worst([self.verdict, verdict]) != self.verdict:
            self.verdict, self.line, self.step, self.at_s = verdict, line, step, round(at_s, 3)
            self.expected, self.seen = expected, seen


@dataclass
class RecipeReport:
    """A whole recipe, run once."""

    file: str
    title: str
    cases: list[CaseReport] = field(default_factory=list)
    cluster: str = ""
    ready_s: float | None = None
    """How long the cluster took to start; None for one that stood."""
    took_s: float = 0.0
    time_scale: float = 1.0
    kept: str = ""
    """The folder with logs, events and faults of a run that did not pass."""
    ended: bool = False
    interrupted: bool = False
    """It was ended from outside before it was done."""

    @property
    def verdict(self) -> str:
        """The heaviest of its cases."""
        return worst(case.verdict for case in self.cases)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"verdict": self.verdict, **counts([self]), **asdict(self)}


def worst(verdicts: Iterable[str]) -> str:
    """The heaviest; `inconclusive` of nothing, because nothing was tested."""
    found = list(verdicts)
    return next((one for one in (FAILED, INCONCLUSIVE, PASSED) if one in found), INCONCLUSIVE)


def counts(reports: list[RecipeReport]) -> dict[str, int]:
    """How many cases of all reports ended how."""
    ended = [case.verdict for report in reports for case in report.cases]
    return {verdict: ended.count(verdict) for verdict in (PASSED, FAILED, INCONCLUSIVE)}


def pass_rate(passed: int, runs: int) -> tuple[float, float, float]:
    """The share of runs that passed, with its interval: Wilson's, at 95 % (Wilson 1927)."""
    share = passed / runs
    middle = (share + Z_95**2 / (2 * runs)) / (1 + Z_95**2 / runs)
    reach = Z_95 / (1 + Z_95**2 / runs) * (share * (1 - share) / runs + Z_95**2 / (4 * runs**2)) ** 0.5
    return share, max(0.0, middle - reach), min(1.0, middle + reach)


def first_difference(runs: list[RecipeReport]) -> str:
    """In which run a case first ended otherwise than in the first run; empty if all are the same."""
    for number, run in enumerate(runs[1:], 2):
        for before, now in zip(runs[0].cases, run.cases, strict=False):
            if before.verdict != now.verdict:
                bad = now if now.verdict != PASSED else before
                why = f"{bad.where}: expected {bad.expected}, saw {bad.seen}"
                return f"run {number}: {now.name}: {now.verdict}, and {before.verdict} in run 1 ({why})"
    return ""


# -- JUnit


def junit(reports: list[RecipeReport]) -> bytes:
    """One suite a recipe, one test case a case; `inconclusive` is an error of that type."""

    def figures(of: list[RecipeReport]) -> dict[str, str]:
        found, seconds = counts(of), sum(report.took_s for report in of)
        numbers = {"tests": sum(found.values()), "failures": found[FAILED], "errors": found[INCONCLUSIVE]}
        return {name: str(number) for name, number in numbers.items()} | {"time": f"{seconds:.3f}"}

    root = xml.Element("testsuites", {"name": "dsectl", **figures(reports)})
    for report in reports:
        title = shown(report.title)
        suite = xml.SubElement(root, "testsuite", {"name": title, "file": shown(report.file), **figures([report])})
        properties = {"cluster": report.cluster, "kept": report.kept, "interrupted": str(report.interrupted).lower()}
        if report.time_scale != 1:
            properties["time_scale"] = f"{report.time_scale:g}"
        element = xml.SubElement(suite, "properties")
        for name, value in properties.items():
            xml.SubElement(element, "property", name=name, value=shown(value))
        for case in report.cases:
            took = f"{case.took_s:.3f}"
            element = xml.SubElement(suite, "testcase", name=shown(case.name), classname=title, time=took)
            if case.verdict != PASSED:
                message = f"expected {case.expected}; saw {case.seen}"
                tag = "failure" if case.verdict == FAILED else "error"
                why = xml.SubElement(element, tag, type=case.verdict, message=shown(message))
                kept = f"\nkept: {report.kept}" if report.kept else ""
                step = f": {case.step}" if case.step else ""
                at = f"\nafter {show_duration(case.at_s)}" if case.at_s else ""
                told = f"{case.where}{step}\n{message}{at}{kept}"
                why.text = shown(told, lines=True)
            if lines := remarks(case):
                xml.SubElement(element, "system-out").text = shown("\n".join(lines), lines=True)
    xml.indent(root)
    text: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def remarks(case: CaseReport) -> list[str]:
    """What the faults of a case touched, and what is odd about that."""
    return [*(touched(fault) for fault in case.faults), *(f"warning: {warning}" for warning in case.warnings)]


def touched(fault: dict[str, Any], links_max: int | None = None) -> str:
    """What a fault did, in a line, with the links that met it most."""
    links = sorted(fault["links"].items(), key=lambda item: -item[1])
    told = [f"{link}: {number}" for link, number in links[:links_max]]
    if len(told) < len(links):
        told.append(count(len(links) - len(told), "more link"))
    more = f" ({', '.join(told)})" if told else ""
    return f"{fault['id']} {fault['kind']} {fault['target']}: {fault['affected']} affected{more}"


# -- TAP


def tap(reports: list[RecipeReport]) -> list[str]:
    """One line a case, with the reason below one that did not pass."""
    from msgspec import json

    cases = [(report, case) for report in reports for case in report.cases]
    lines = ["TAP version 14", f"1..{len(cases)}"]
    for number, (report, case) in enumerate(cases, 1):
        name = shown(f"{report.title}: {case.name}").replace("#", "\\#")
        lines.append(f"{'ok' if case.verdict == PASSED else 'not ok'} {number} - {name}")
        if case.verdict != PASSED:
            told = {"verdict": case.verdict, "at": case.where, "step": case.step}
            told |= {"expected": case.expected, "seen": case.seen}
            # YAML's strings in double quotes are those of JSON
            yaml = [f"  {key}: {json.encode(shown(text)).decode()}" for key, text in told.items()]
            lines += ["  ---", *yaml, "  ..."]
        lines += [f"# {shown(line)}" for line in remarks(case)]
    if any(report.interrupted for report in reports):
        lines.append(f"# {INTERRUPTED}")
    return lines
