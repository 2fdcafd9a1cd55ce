"""demo: the main job in one command."""

import os
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.invocation import current
from dsectl.demo.findings import Findings
from dsectl.demo.run import run_demo
from dsectl.demo.view import LiveTeller, PlainTeller, summary_lines
from dsectl.ui.verdict import Verdict

NODES_MIN = 4
"""Three owners and at least one node to keep a hint."""
NODES_MAX = 20


def demo(
    nodes: Annotated[
        int, typer.Option("-n", "--nodes", metavar="N", help=f"How many ({NODES_MIN} to {NODES_MAX}).")
    ] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running.")] = False,
) -> None:
    """Starts a cluster of its own, lets writes, messages and requests flow, kills a node under load, brings it back,
    and checks everything that was acknowledged. Ends with a verdict (exit 0 passed, 1 failed, 3 inconclusive) and
    leaves nothing running. Takes about 10 s, and at most 40."""
    if not NODES_MIN <= nodes <= NODES_MAX:
        raise Usage(f"the demo needs {NODES_MIN} to {NODES_MAX} nodes, not {nodes}")
    console = current().console
    found = Findings(nodes=nodes)
    verdict = _told(console, found, keep)
    if console.options.json:
        console.value({"verdict": verdict.verdict, "reasons": verdict.reasons, **found.to_dict()})
    else:
        console.lines(summary_lines(found, verdict, console.paint))
    raise typer.Exit(verdict.exit_code)


def _told(console: Console, found: Findings, keep: bool) -> Verdict:
    if not _is_animated(console):
        return run_demo(PlainTeller(console), found, keep=keep)
    teller = LiveTeller(console, found)
    with teller.live:
        return run_demo(teller, found, keep=keep)


def _is_animated(console: Console) -> bool:
    options = console.options
    able = console.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
    return able and not (options.json or options.quiet or options.no_input)
