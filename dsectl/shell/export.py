"""`history`: what was typed in this session; and the session as a recipe: its steps in order, those that failed marked
so, and repeated looks as a `within`.

The same look, made again and again, waits for something: for what changed between the first look and the
last: that is proposed, to be read over. What has no place in a recipe stays as a comment, with the reason.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from cluster.emulator.home import load_cluster
from cluster.errors import ClusterError, Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Entry
from dsectl.cli.table import lookup
from dsectl.recipes.frontmatter import FrontMatter
from dsectl.script.check import Checker
from dsectl.script.execution import free_name
from dsectl.script.grammar import Run, Start, Step, Wait, parse
from dsectl.script.values import MISSING, path_part, shown_value
from dsectl.shell.evaluate import EXIT_INTERRUPTED, OWN, EnteredLine
from dsectl.ui.text import cut, shown

LINES_MAX = 40
COLUMNS = 200
"""Of a longer line its beginning is shown."""
TESTS = ("expect ", "within ", "always ", "!")


def history(args: list[str], entered: list[EnteredLine], cluster: str, console: Console) -> int:
    """`history`, or `history export [FILE]`. Raises Usage."""
    entries = entered[-LINES_MAX:]
    if not args and console.options.json:
        console.value([{"line": entry.line, "code": entry.code} for entry in entries])
        return 0
    if not args:
        for number, entry in enumerate(entries, len(entered) - len(entries) + 1):
            failed = console.paint(f"  exit {entry.code}", "dim") if entry.code else ""
            console.line(f"{number:4}  {cut(shown(entry.line[:COLUMNS]), COLUMNS)}{failed}")
        return 0
    if args[0] != "export" or len(args) > 2:
        raise Usage("expected `history` or `history export FILE`")
    text = export(entered, made_as(cluster))
    if len(args) == 1 or args[1] == "-":
        console.line(text.rstrip("\n"))
    else:
        try:
            with open(args[1], "x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError:
            raise Usage(f"{args[1]} exists", help="Name a new file; nothing is overwritten.") from None
        except (OSError, ValueError) as error:
            raise Usage(f"cannot write {args[1]}: {getattr(error, 'strerror', None) or error}") from None
        console.note(f"wrote {shown(args[1])}; read it over, then `recipe run {shown(args[1])}` runs it")
        if not any(line.startswith(TESTS) for line in text.split("\n")):
            console.note("note: no step tests anything yet: add `expect`, `within` or `always`")
    return 0


def made_as(cluster: str) -> FrontMatter:
    """The front matter of a recipe whose cluster is as this one was made."""
    try:
        spec = load_cluster(cluster).record.spec
    except ClusterError:
        return FrontMatter()
    given = {name: getattr(spec, name) for name in ("nodes", "zones", "replication", "profile", "durability", "store")}
    return FrontMatter(**{name: value for name, value in given.items() if value is not None})


FENCE = "```"
DEFAULT = FrontMatter()
WITHIN = "10s"
VOLATILE = (
    *("at", "ms", "at_s", "id", "pid", "rss_mb", "uptime_s", "port", "context", "clock", "trace", "ready_s"),
    *("key", "coordinator", "answered", "view", "cluster", "name"),
)
"""Names of what changes from look to look without meaning anything, or says again what was asked."""
GISTS = {"get": "value", "smembers": "items", "status": "verdict", "hints": "pending", "health": "healthy"}
"""The value in a result that says most."""


def export(entries: Sequence[EnteredLine], meta: FrontMatter) -> str:
    """The file's text. It is accepted by `dsectl recipe check`."""
    settings = ("zones", "replication", "profile", "durability", "store")
    unusual = [name for name in settings if getattr(meta, name) != getattr(DEFAULT, name)]
    lines = [
        "---",
        f"nodes: {meta.nodes}",
        *(f"{name}: {getattr(meta, name)}" for name in unusual),
        "---",
        "# A session",
        "",
        "## What was done",
        "",
        f"{FENCE}dsectl",
        *_accepted(list(_proposals(entries))),
        FENCE,
        "",
    ]
    return "\n".join(lines)


def _proposals(entries: Sequence[EnteredLine]) -> Iterator[str]:
    """A line for each step, one for a run of equal looks; at the end the jobs that still run are stopped. Comments are
    of what cannot be repeated."""
    jobs: dict[str, None] = {}
    for line, group in groupby(entries, key=lambda entry: entry.line):
        same = list(group)
        step = _step(line)
        if step is None:
            continue
        if isinstance(step, Start):
            name = step.job or free_name(step.command.name or "job", jobs)
            jobs[name] = None
            yield f"{step.command.raw} &{name}"
        elif isinstance(step, Wait):
            jobs.pop(step.job, None)
            yield line
        elif isinstance(step, Run) and step.into is None and (known := _entry(step)) and known.readonly:
            yield _look(step, same)
        else:
            for entry in same:
                yield _once(step, entry)
    for name in jobs:
        yield f"stop {name}"


def _step(line: str) -> Step | None:
    """The step on a line that has a place in a recipe."""
    if not line.isprintable() or line.lstrip().startswith((FENCE, "~~~")):
        return None  # it would break out of its line, or of the block
    try:
        step = parse(line, shell=True)
    except Usage:
        return None
    if isinstance(step, Run):
        known = _entry(step)
        if step.command.name in OWN or (known and (known.barred or known.aside)):
            return None
    return step


def _entry(step: Run) -> Entry | None:
    found = lookup([word.text() for word in step.command.words])
    return found[0] if found else None


def _once(step: Step, entry: EnteredLine) -> str:
    if entry.code == 0:
        return entry.line
    if entry.code in (Usage.exit_code, EXIT_INTERRUPTED) or not isinstance(step, Run):
        how = "was interrupted" if entry.code == EXIT_INTERRUPTED else f"ended with {entry.code}"
        return f"# {entry.line}  {how}"
    return f"!{entry.code} {entry.line}"


def _look(step: Run, same: list[EnteredLine]) -> str:
    """A look that was made once is kept; one that was repeated waited for its last answer."""
    last = same[-1]
    if len(same) == 1 or last.code:
        return _once(step, last)
    before = MISSING if any(entry.code for entry in same) else same[0].value
    path, value = changed(before, last.value)
    gist = GISTS.get(step.command.name or "")
    if path == "." and isinstance(last.value, dict) and last.value.get(gist) is not None:
        path, value = f".{gist}", last.value[gist]  # nothing changed, so the look made sure of what says most
    text = shown_value(value, limit=10_000)
    if isinstance(value, str):
        text = text.replace("$", "\\$")
    elif " " in text:
        text = f"'{text}'"
    test = ". != null" if path == "." else f"{path} == {text}"
    return f"within {WITHIN}: {step.command.raw} {test}"


def changed(before: Any, after: Any, path: str = "") -> tuple[str, Any]:
    """The path and the new value of the first plain value in which two results differ; the path is `.` if none does."""
    if isinstance(after, dict):
        old = before if isinstance(before, dict) else {}
        for name, value in after.items():
            if name in VOLATILE or (name in old and old[name] == value):
                continue
            found = changed(old.get(name, MISSING), value, f"{path}.{path_part(name)}")
            if found[0] != ".":
                return found
        return ".", None
    if isinstance(after, list):
        old_list = before if isinstance(before, list) else []
        if len(after) != len(old_list) and before is not MISSING:
            return f"{path}.length", len(after)
        for position, value in enumerate(after):
            if position < len(old_list) and old_list[position] == value:
                continue
            old_value = old_list[position] if position < len(old_list) else MISSING
            found = changed(old_value, value, f"{path or '.'}[{position}]")
            if found[0] != ".":
                return found
        return ".", None
    return (path, after) if path and after is not MISSING and after is not None else (".", None)


def _accepted(proposals: list[str]) -> list[str]:
    """The lines, those that a recipe cannot hold as comments with the reason."""
    refused: dict[int, str] = {}
    while True:  # what is refused may have given a variable or a job to a later line
        checker = Checker()
        for number, one in enumerate(proposals):
            if not one.startswith("#") and number not in refused:
                checker.line(number, one)
        checker.end()
        new = {one.line: one.message for one in checker.problems if one.line not in refused and not one.warning}
        if not new:
            break
        refused.update(new)
    lines = [f"# {one}  ({refused[at]})" if at in refused else one for at, one in enumerate(proposals)]
    return [*lines, *(["status"] if all(line.startswith("#") for line in lines) else [])]
