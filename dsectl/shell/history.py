"""`history`: what was typed in this session, and the session as a recipe."""

from cluster.emulator.home import load_cluster
from cluster.errors import ClusterError, Usage
from dsectl.cli.console import Console
from dsectl.recipes.frontmatter import FrontMatter
from dsectl.shell.export import export
from dsectl.shell.record import Record
from dsectl.ui.text import cut, shown

LINES_MAX = 40
COLUMNS = 200
"""Of a longer line its beginning is shown."""
TITLE = "A session"


def history(args: list[str], record: Record, cluster: str, console: Console) -> int:
    """`history`, or `history export [FILE]`. Raises Usage."""
    if not args:
        _show(record, console)
        return 0
    if args[0] != "export" or len(args) > 2:
        raise Usage("it is `history` or `history export FILE`")
    text = export(record.entries, made_as(cluster), TITLE)
    if len(args) == 1 or args[1] == "-":
        console.line(text.rstrip("\n"))
    else:
        _keep(text, args[1])
        console.note(f"wrote {shown(args[1])}; read it over, then `recipe run {shown(args[1])}` runs it")
    return 0


def _show(record: Record, console: Console) -> None:
    entries = record.entries[-LINES_MAX:]
    if console.options.json:
        console.value([{"line": entry.line, "code": entry.code} for entry in entries])
        return
    first = len(record.entries) - len(entries) + 1
    for number, entry in enumerate(entries, first):
        failed = console.paint(f"  exit {entry.code}", "dim") if entry.code else ""
        console.line(f"{number:4}  {cut(shown(entry.line[:COLUMNS]), COLUMNS)}{failed}")


def _keep(text: str, file: str) -> None:
    try:
        with open(file, "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise Usage(f"{file} exists", help="Name a new file; nothing is overwritten.") from None
    except (OSError, ValueError) as error:
        raise Usage(f"cannot write {file}: {getattr(error, 'strerror', None) or error}") from None


def made_as(cluster: str) -> FrontMatter:
    """The front matter of a recipe whose cluster is as this one was made."""
    try:
        spec = load_cluster(cluster).record.spec
    except ClusterError:
        return FrontMatter()
    given = {name: getattr(spec, name) for name in ("nodes", "zones", "replication", "profile", "durability", "store")}
    return FrontMatter(**{name: value for name, value in given.items() if value is not None})
