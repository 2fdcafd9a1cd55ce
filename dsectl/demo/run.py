"""Runs the demo: a cluster of its own on a leash, the story, the verdict; whatever happens, nothing is left running."""

import os
import time

import anyio

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError
from dsectl.demo.findings import Findings, judge
from dsectl.demo.narrator import Narrator, Teller
from dsectl.demo.story import Actions, Story
from dsectl.ui.verdict import Verdict

LIMIT_S = 30.0
"""The story is cut short at this age; with a restart that is under way and the end, the whole takes at most 40 s."""
UP_S = 15.0


def run_demo(
    teller: Teller, found: Findings, *, keep: bool = False, actions: Actions | None = None, limit_s: float = LIMIT_S
) -> Verdict:
    """Tell the story with a fresh cluster of `found.nodes` nodes, and judge. `found` fills on the way, for a live view.

    With `keep` the cluster stays, unless the story was interrupted. Raises what `up`, a restart or the client raises.
    """
    began = time.monotonic()
    found.cluster = f"demo-{os.urandom(3).hex()}"
    narrator = Narrator(teller, found)
    narrator.step(f"A cluster of {found.nodes} nodes starts")
    report = emulator.up(ClusterSpec(name=found.cluster, nodes=found.nodes), UP_S, leashed=True)
    stays = False
    try:
        found.ready_s = round(report.ready_s, 3)
        narrator.timed("all see all", found.ready_s)
        narrator.say(f"processes {', '.join(str(process.pid) for process in report.nodes.values())}")
        left_s = limit_s - (time.monotonic() - began)
        anyio.run(_tell, found, narrator, actions or Actions(), left_s, backend_options={"use_uvloop": True})
        if keep and report.leash is not None:
            report.leash.take_off()
            stays = True
            narrator.say(f"the cluster stays: `dsectl -C {found.cluster} status`")
    except BaseExceptionGroup as group:  # a task of the story failed, and the others were ended
        raise _cause(group) from None
    finally:
        if not stays:
            emulator.remove(found.cluster)
    found.took_s = round(time.monotonic() - began, 3)
    return judge(found)


async def _tell(found: Findings, narrator: Narrator, actions: Actions, limit_s: float) -> None:
    with anyio.move_on_after(limit_s) as limit:
        async with cluster.connect(found.cluster) as client:
            await Story(client, found, narrator, actions).tell()
    if limit.cancelled_caught:
        found.cut_short = True
        narrator.say("the time is up")


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one to tell: a signal before an error, an error with a code before any other."""
    leaves = [*_leaves(group)]
    for kind in (KeyboardInterrupt, SystemExit, ClusterError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
