"""`completions`: the completion file of a shell, as it ships with the package; `complete`: what such a file asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cluster.errors import Usage
from dsectl.cli.completion.cluster import ASKED, names_in_cluster, soon
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current

if TYPE_CHECKING:
    import typer

FILES = {"bash": "dsectl.bash", "zsh": "_dsectl", "fish": "dsectl.fish"}


@command(
    "completions", "Print a shell's completion file.", group="more", rank=1, readonly=True, barred="it is for people"
)
def completions(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Shell to complete in.")],
) -> Answer:
    """bash and zsh: `source <(dsectl completions bash)` in the shell's startup file, in zsh behind compinit. fish: save
    it as `~/.config/fish/completions/dsectl.fish`. Clusters, nodes, workers, zones and faults are read from disk; keys,
    buckets, queues, subjects, services and operations are asked for with `dsectl complete`."""
    from dsectl.cli.resources import resource  # loads much, and `complete` needs none of it

    if shell not in FILES:
        raise Usage(f"no completions for {shell!r}", help=f"There are completions for {', '.join(FILES)}.")
    text = resource("completions", FILES[shell]).read_text(encoding="utf-8")
    return Answer({"shell": shell, "file": FILES[shell], "text": text}, lambda console: console.out.write(text))


@command(
    "complete",
    "List names in the cluster, as Tab does.",
    group="more",
    rank=2,
    readonly=True,
    barred="it is for people",
)
def complete(
    kind: Annotated[
        str, typer.Argument(metavar="key|bucket|queue|subject|service|operation", help="Kind of name to list.")
    ],
    begun: Annotated[str, typer.Argument(metavar="TEXT", help="Beginning of the names.")] = "",
) -> Answer:
    """The completion files ask it. It prints nothing when no node answers within 300 ms."""
    if kind not in ASKED:
        raise Usage(f"unknown kind {kind!r}: expected {', '.join(ASKED)}")
    cluster = current().cluster
    names: list[str] = soon(lambda: names_in_cluster(cluster, kind, begun), [])
    found = [name for name in names if name.startswith(begun)]
    return Answer(found, lambda console: console.lines([name for name in found if name.isprintable()]))
