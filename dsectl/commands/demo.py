"""demo: the main job in one command."""

from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.demo.findings import Findings, Verdict
from dsectl.demo.run import run_demo
from dsectl.invocation import current
from dsectl.views.demo import LiveTeller, PlainTeller, summary_lines

NODES_MIN = 4
"""Three owners and at least one node to keep a hint."""


def demo(
    nodes: Annotated[int, typer.Option("-n", "--nodes", metavar="N", help="How many (4 to 20).")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running.")] = False,
) -> None:
    """Starts a cluster of its own, lets data, messages and requests flow, kills a node under load, brings it back, and
    checks everything that was acknowledged. Ends with a verdict (exit 0 passed, 1 failed, 3 inconclusive) and leaves
    nothing running. Takes about 10 s."""
    if not NODES_MIN <= nodes <= 20:
        raise Usage(f"the demo needs {NODES_MIN} to 20 nodes, not {nodes}")
    found, verdict = _told(nodes, keep)
    console = current().console
    if console.options.json:
        console.value({"verdict": verdict.verdict, "reasons": verdict.reasons, **found.to_dict()})
    else:
        console.lines(summary_lines(found, verdict, console.paint))
    raise typer.Exit(verdict.exit_code)


def _told(nodes: int, keep: bool) -> tuple[Findings, Verdict]:
    invocation = current()
    console = invocation.console
    if not console.is_terminal or console.options.json or console.options.quiet or invocation.options.no_input:
        return run_demo(nodes, PlainTeller(console), keep=keep)
    live: list[Findings] = []
    teller = LiveTeller(console, live)
    with teller.live:
        return run_demo(nodes, teller, keep=keep, on_found=live.append)
