"""`add`, `leave`, `forget` and `revert`: what a change of members needs on this machine around the ballot for it.

A member is decided first and made afterwards, from the chain as the deciding node has it: whoever is interrupted in
between leaves a member that does not run, which `revert` takes back. A member that has left ends by itself; its folder
is set aside, never deleted, and its place is free again. The cluster's own copy of the layout, by which clients find
the nodes, follows whenever a command looks.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cluster.chain.entry import ChainEntry, forced, genesis, last_copies
from cluster.emulator.cluster import LOCK_WAIT_S, WAIT_S, start_nodes
from cluster.emulator.disk import disk_errors, locked, make_folder, read, write_new
from cluster.emulator.genesis import ID_BYTES, PORTS_WAIT_S, owned_ports
from cluster.emulator.home import NODE_CHAIN_FOLDER, NODE_LAYOUT_FILE, ClusterFiles, Home
from cluster.emulator.inspect import inspect_node
from cluster.emulator.members import move_out, tidy
from cluster.emulator.nodefiles import chain_files, newest_entry
from cluster.emulator.ports import choose_ports, ephemeral_range, is_free, usable_ports
from cluster.emulator.signals import end_nodes, kill_nodes
from cluster.emulator.spec import NODES_MAX, Place
from cluster.errors import ClusterError, DeadlinePassed, Failed, Maybe, NotYet, Unreachable, Usage
from cluster.storage import newborn_files

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

POLL_S: Final = 0.1
ALL_DOWN_S: Final = 2.0
"""So long no node has lived before a change is waited for no more: a restart of all takes less."""
ASK_S: Final = 3.0
"""So long one node is given to have a change decided, before the next is asked."""
JOINS: Final = "it joins the cluster"

Progress = Callable[[dict[str, Any]], None]
"""Given the state of the transition, again and again while it lasts."""


@dataclass(frozen=True)
class Moved:
    """A change that is over, or that goes on without us."""

    what: str
    layout: int
    nodes: list[str]
    moved: int
    """Copies of partitions that have another owner than before."""
    seconds: float
    done: bool
    waits_for: list[str]
    reverts: bool
    """Whether it could be taken back."""


def add(
    client: "BlockingCluster",
    home: Home,
    files: ClusterFiles,
    count: int,
    zone: str | None,
    wait_s: float,
    progress: Progress,
) -> Moved:
    """Add nodes, start them, and wait until they own their share. Raises Usage while another change is under way,
    QuorumMissing without a majority, Failed with a node's last words when one does not start."""
    began = time.monotonic()
    with locked(home.lock(files.name), LOCK_WAIT_S):
        files = tidy(home, files.name)
        places = _new_places(home, files, count, zone)
        rows = [{"name": one.name, "zone": one.zone, "host": "127.0.0.1", "port": one.port} for one in places]
        decided = change(client, files, {"add": rows}, began + wait_s)
        entries = chain_files(files)
        first = read(files.folder / "nodes" / files.nodes[0] / NODE_LAYOUT_FILE)
        for place in places:
            _make_node(files, place, first, entries)
        files = tidy(home, files.name)
    names = [place.name for place in places]
    # Decided is decided: they are given time to start, however little may be waited for the data.
    start_nodes(files.name, names, max(WAIT_S, began + wait_s - time.monotonic()))
    return _wait(client, home, files, decided, names, began, wait_s, progress, join=True)


def leave(
    client: "BlockingCluster",
    home: Home,
    files: ClusterFiles,
    names: list[str],
    wait_s: float,
    progress: Progress,
    *,
    forget: bool = False,
    accept_loss: bool = False,
    force: bool = False,
) -> Moved:
    """Take nodes out of the cluster; `forget` those that do not run and are not to come back. `force`: by those that
    stay alone, where they are no majority; nodes that run here are ended first. Returns when others own what they did,
    and they have ended."""
    began = time.monotonic()
    if forget:
        alive = [name for name in names if inspect_node(files.node(name)).alive]
        if force:
            forced(_last_entry(files), names, 0, lossy=accept_loss)  # what cannot be is refused before anybody ends
            kill_nodes([files.node(name) for name in alive])
        elif alive:
            which = " ".join(alive)
            cure = f"`dsectl leave {which}` takes it out, and hands on what it holds; `dsectl kill` ends what hangs."
            raise Usage(f"{', '.join(alive)} runs", help=cure)
    what: dict[str, Any] = {"forget" if forget else "leave": names}
    if accept_loss:
        what["accept_loss"] = True
    if force:
        what["force"] = True
    decided = change(client, files, what, began + wait_s)
    return _wait(client, home, files, decided, names, began, wait_s, progress)


def only_copies(files: ClusterFiles, names: list[str]) -> list[int]:
    """The partitions that none but these nodes own."""
    return last_copies(_last_entry(files), names)


def _last_entry(files: ClusterFiles) -> ChainEntry:
    return newest_entry(files) or genesis(files.record.entry())


def revert(client: "BlockingCluster", home: Home, files: ClusterFiles, wait_s: float) -> Moved:
    """Take back the change that is under way; nodes that were to join end."""
    began = time.monotonic()
    found = [state for state in states(client, files).values() if state]
    if found and not any(state["moving"] for state in found):
        raise Usage(
            "no transition is under way",
            help="There is nothing to take back; `dsectl ring --changes` lists what was changed.",
        )
    decided = change(client, files, {"revert": True}, began + wait_s)
    return _wait(client, home, files, decided, [], began, wait_s, lambda state: None)


def change(client: "BlockingCluster", files: ClusterFiles, what: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Have one of the nodes that run propose it: the next one if it does not answer, or reaches too few; all of them
    again while the last change has not reached enough. The id of the change makes that harmless: a node that finds it
    in the chain answers with what was decided. Who has the newest entry and sees most members is asked first."""
    named = {**what, "id": secrets.token_hex(8)}
    unknown: ClusterError | None = None
    while True:
        found = states(client, files)
        if not found:
            raise Unreachable(f"no node of cluster {files.name!r} runs")
        not_yet: NotYet | None = None
        error: ClusterError = DeadlinePassed("no time was left to ask for it")
        for name in sorted(
            found, key=lambda name: [-int(found[name].get(part, 0)) for part in ("number", "slot", "alive")]
        ):
            left = min(ASK_S, deadline - time.monotonic())
            try:
                decided: dict[str, Any] = client.ask(name, "change", named, max(0.5, left))
                return decided
            except Usage:  # the same at every node that has the same chain
                if unknown is None:
                    raise
            except NotYet as refused:
                error = not_yet = refused
            except DeadlinePassed as late:  # as of a question that changes nothing; this one may be carried out still
                help = "`dsectl status` shows whether it is under way, `dsectl ring --changes` what was decided."
                error = unknown = Maybe(f"{late.message}: the change may be decided all the same", help=help)
            except ClusterError as failed:
                error = failed
                unknown = unknown if failed.definite else failed
        if not_yet is None or time.monotonic() + POLL_S >= deadline:
            raise unknown or error
        time.sleep(POLL_S)


def states(client: "BlockingCluster", files: ClusterFiles) -> dict[str, dict[str, Any]]:
    """How far each node is that runs and that clients know; nothing of one that does not say."""
    known = client.location.nodes  # of before: whoever joins knows no more than these
    running = [name for name in files.nodes if name in known and inspect_node(files.node(name)).state == "running"]
    answers = client.ask_all(running, "layout", timeout=1.0) if running else {}
    return {name: {} if isinstance(answer, ClusterError) else answer for name, answer in answers.items()}


def _wait(
    client: "BlockingCluster",
    home: Home,
    files: ClusterFiles,
    decided: dict[str, Any],
    names: list[str],
    began: float,
    wait_s: float,
    progress: Progress,
    *,
    join: bool = False,
) -> Moved:
    """Until the transition has ended. `join`: whether `names` are members then. Raises Failed when it was taken back by
    somebody else."""
    state = decided
    moved = sum(decided.get("joining", {}).values())
    lived = began
    while state["moving"] and time.monotonic() < began + wait_s:
        progress(state)
        time.sleep(POLL_S)
        if any(inspect_node(files.node(name)).alive for name in files.nodes):
            lived = time.monotonic()
        elif time.monotonic() > lived + ALL_DOWN_S:
            help = "`dsectl up` starts them, and they go on with it; `dsectl revert` takes it back then."
            raise Unreachable(f"{state['what']}: no node of cluster {files.name!r} runs any more", help=help)
        state = newest(state, states(client, files).values())
    over = not state["moving"]
    if over:
        _end_former(files, state, began + wait_s + LOCK_WAIT_S)
    with locked(home.lock(files.name), LOCK_WAIT_S):
        tidy(home, files.name)
    if over and any((name in _members(state)) != join for name in names):
        raise Failed(f"{decided['what']}: it was taken back meanwhile")
    seconds = time.monotonic() - began
    reasons, reverts = list(state.get("waits_for", [])), not state.get("forgotten")
    return Moved(decided["what"], state["number"], names, moved, seconds, over, reasons, reverts)


def newest(before: dict[str, Any], answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The state to go by: the last slot of the last fork that anybody has, and of that what was told last, since data
    moves and reasons change while the slot stays the same."""
    return max(
        [*(answer for answer in answers if answer), before],
        key=lambda state: (int(state["number"]), int(state["slot"])),
    )


def _members(state: dict[str, Any]) -> list[str]:
    return [member["name"] for member in msgspec.json.decode(state["entry"])["members"]]


def _end_former(files: ClusterFiles, state: dict[str, Any], deadline: float) -> None:
    """Who is no member any more ends by itself; whoever is stopped, or has not heard of it, is ended."""
    members = _members(state)
    former = [name for name in files.nodes if name not in members]
    while time.monotonic() < deadline and any(inspect_node(files.node(name)).alive for name in former):
        if any(inspect_node(files.node(name)).state == "paused" for name in former):
            break
        time.sleep(POLL_S)
    end_nodes([files.node(name) for name in former])


# -- files


def _new_places(home: Home, files: ClusterFiles, count: int, zone: str | None) -> list[Place]:
    if not 1 <= count <= NODES_MAX - len(files.nodes):
        raise Usage(f"a cluster has at most {NODES_MAX} nodes, and this one has {len(files.nodes)}")
    free = [number for number in range(1, NODES_MAX + 1) if f"n{number}" not in files.nodes][:count]
    with locked(home.ports_lock, PORTS_WAIT_S):
        taken = owned_ports(home)
        beside = max(place.port for place in files.record.places) + 1
        row = range(beside, beside + count)
        if all(port not in taken and port < 65_536 and is_free(port) for port in row):
            ports = list(row)
        else:
            ports = choose_ports(count, taken, is_free, usable_ports(count, ephemeral_range()), SystemRandom())
    zones = list(dict.fromkeys(place.zone for place in files.record.places))
    if zone is not None:
        return [Place(f"n{number}", zone, port) for number, port in zip(free, ports, strict=True)]
    counts = {one: sum(place.zone == one for place in files.record.places) for one in zones}
    places = []
    for number, port in zip(free, ports, strict=True):
        emptiest = min(zones, key=counts.__getitem__)
        counts[emptiest] += 1
        places.append(Place(f"n{number}", emptiest, port))
    return places


def _make_node(files: ClusterFiles, place: Place, first_layout: bytes, entries: dict[str, bytes]) -> None:
    """The folder of a node that joins; it appears whole."""
    folder = files.folder / "nodes" / place.name
    draft = folder.with_name(f".new-{place.name}")
    with disk_errors(f"make {folder}"):
        if draft.exists():
            move_out(files, draft, place.name)
        make_folder(draft / NODE_CHAIN_FOLDER)
        write_new(draft / NODE_LAYOUT_FILE, first_layout)
        for name, blob in entries.items():
            write_new(draft / NODE_CHAIN_FOLDER / name, blob)
        for path, data in newborn_files(place.name, f"{place.name}-{secrets.token_hex(ID_BYTES)}", JOINS).items():
            make_folder((draft / path).parent)
            write_new(draft / path, data)
        if folder.exists():
            move_out(files, folder, place.name)
        draft.rename(folder)


def not_over(moved: Moved) -> ClusterError | None:
    """What to raise when the wait ended first."""
    if moved.done:
        return None
    why = "; ".join(moved.waits_for[:5])
    return Maybe(
        f"{moved.what} has not ended after {moved.seconds:.1f} s, and goes on: {why}",
        help=f"`dsectl status` shows how far it is{'; `dsectl revert` takes it back' if moved.reverts else ''}.",
    )
