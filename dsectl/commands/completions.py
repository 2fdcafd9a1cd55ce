"""`completions`: the completion file of a shell, as it ships with the package."""

from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.resources import resource

FILES = {"bash": "dsectl.bash", "zsh": "_dsectl", "fish": "dsectl.fish"}


@command(
    "completions", "Print a shell's completion file.", group="more", rank=1, readonly=True, barred="it is for people"
)
def completions(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Shell to complete in.")],
) -> Answer:
    """bash and zsh: `source <(dsectl completions bash)` in the shell's startup file, in zsh behind compinit. fish: save
    it as `~/.config/fish/completions/dsectl.fish`. Clusters, nodes, zones and faults are read from disk, no node is
    asked."""
    if shell not in FILES:
        raise Usage(f"no completions for {shell!r}", help=f"There are completions for {', '.join(FILES)}.")
    text = resource("completions", FILES[shell]).read_text(encoding="utf-8")
    return Answer({"shell": shell, "file": FILES[shell], "text": text}, lambda console: console.out.write(text))
