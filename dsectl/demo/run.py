"""Runs the demo: a cluster of its own on a leash, the story, the verdict; whatever happens, nothing is left running."""

import os
import time
from collections.abc import Callable

import anyio

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec
from dsectl.demo.findings import Findings, Verdict, judge
from dsectl.demo.story import Actions, Story, Teller

LIMIT_S = 35.0
"""The story is cut short after this, so that the whole takes at most 40 s."""


def run_demo(
    nodes: int,
    teller: Teller,
    *,
    keep: bool = False,
    actions: Actions | None = None,
    on_found: Callable[[Findings], object] | None = None,
) -> tuple[Findings, Verdict]:
    """Tell the story with a fresh cluster of `nodes` nodes. With `keep` the cluster stays. `on_found` is given the
    findings before they fill, for a live view."""
    started = time.monotonic()
    found = Findings(nodes=nodes)
    if on_found is not None:
        on_found(found)
    name = f"demo-{os.urandom(3).hex()}"
    teller.step(f"A cluster of {nodes} nodes starts")
    report = emulator.up(ClusterSpec(name=name, nodes=nodes), leashed=True)
    try:
        found.ready_s = round(report.ready_s, 3)
        pids = ", ".join(str(process.pid) for process in report.nodes.values())
        teller.say(f"ready after {report.ready_s:.2f} s: processes {pids}")
        anyio.run(_tell, name, found, teller, actions or Actions(), backend_options={"use_uvloop": True})
        if keep and report.leash is not None:
            report.leash.take_off()
            teller.say(f"the cluster stays: dsectl -C {name} status")
    finally:
        if not keep or report.leash is None or found.keys_read == 0:
            emulator.remove(name)
    found.took_s = round(time.monotonic() - started, 3)
    return found, judge(found)


async def _tell(name: str, found: Findings, teller: Teller, actions: Actions) -> None:
    with anyio.move_on_after(LIMIT_S) as limit:
        async with cluster.connect(name) as client:
            await Story(name, client, found, teller, actions).tell()
    if limit.cancelled_caught:
        teller.say(f"cut short after {LIMIT_S:.0f} s")
