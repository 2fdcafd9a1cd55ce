"""demo: the main job in one command."""

from dataclasses import asdict
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.demo.findings import Findings
from dsectl.demo.story import run_demo
from dsectl.demo.view import LiveTeller, PlainTeller, summary_lines

NODES_MIN = 4
"""Three owners and at least one node to keep a hint."""
NODES_MAX = 20


@command(
    "demo",
    "See a cluster survive a crash under load, in 10 s.",
    group="clusters",
    rank=8,
    barred="a recipe has a cluster of its own, made as its front matter says",
)
def demo(
    nodes: Annotated[
        int,
        typer.Option("-n", "--nodes", metavar="N", help=f"Number of nodes, {NODES_MIN} to {NODES_MAX} (default: 5)."),
    ] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running at the end.")] = False,
) -> Answer:
    """Starts a cluster of its own, lets writes, messages and requests flow, kills a node under load, brings it back,
    and checks everything that was acknowledged. Ends with a verdict (exit 0 passed, 1 failed, 3 inconclusive) and
    leaves nothing running. Takes about 10 s, and at most 40."""
    if not NODES_MIN <= nodes <= NODES_MAX:
        raise Usage(f"the demo needs {NODES_MIN} to {NODES_MAX} nodes, not {nodes}")
    console = current().console
    found = Findings(nodes=nodes)
    options = console.options
    if console.is_screen and not (options.json or options.quiet or options.no_input):
        teller = LiveTeller(console, found)
        with teller.block:
            verdict = run_demo(teller, keep=keep)
    else:
        verdict = run_demo(PlainTeller(console, found), keep=keep)
    return Answer(
        {"verdict": verdict.verdict, "reasons": verdict.reasons, **asdict(found)},
        lambda console: console.lines(summary_lines(found, verdict, console.paint, console.columns)),
        verdict.exit_code,
    )
