"""Requests: a stopped endpoint costs little, and nothing that may not be repeated runs twice."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from msgspec import Struct

from cluster.errors import Maybe, Unreachable
from cluster.faults import Fault, FaultDocument, add_fault, encode_faults, heal
from cluster.requests import operation, service
from cluster.requests.registry import Registry
from cluster.requests.router import RequestRouter
from cluster.rpc import Rpc
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.transport import Connection
from cluster.wire.requests import CallDone
from tests.simulation.safeguards.registry import Safeguard

HEDGED_S = 0.2
"""What a readonly call may take while its endpoint is stopped: the ping, the hedge, and a sweep or two."""
SILENT_S = 0.35
"""And one that may not be repeated, until it is given up."""


class Charge(Struct):
    """One payment."""

    number: int


def paying(fleet: Fleet) -> Counter[int]:
    """Host a service whose calls must not be repeated on every node; how often each payment was carried out."""
    charged: Counter[int] = Counter()

    @service(name="pay", version=1)
    class Pay:
        @operation()
        def charge(self, request: Charge) -> None:
            charged[request.number] += 1

    for name in fleet.up:
        fleet.nodes[name].requests.host(Pay())
    fleet.world.run_for(1.5)
    return charged


def calls_while_one_is_paused(
    fleet: Fleet, call: Callable[[str, int], SimulatedRequest], paused: str
) -> dict[int, tuple[SimulatedRequest, float]]:
    """Twenty calls a node, before and after it is paused; each with how long it took."""
    via = [name for name in fleet.up if name != paused]
    ended: dict[int, tuple[SimulatedRequest, float]] = {}
    open_calls: dict[int, tuple[SimulatedRequest, float]] = {}

    def look() -> None:
        for number, (result, began) in list(open_calls.items()):
            if result.ended:
                ended[number] = (result, fleet.world.now - began)
                del open_calls[number]

    for number in range(20 * len(via)):
        if number == 10 * len(via):
            fleet.world.pause(paused)
        open_calls[number] = (call(via[number % len(via)], number), fleet.world.now)
        for _ in range(4):
            fleet.world.run_for(0.005)
            look()
    while open_calls:
        fleet.world.run_for(0.005)
        look()
    return ended


def readonly_calls_meet_a_stopped_endpoint(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        ended = calls_while_one_is_paused(fleet, lambda via, number: fleet.call(via, "echo.whoami"), "n3")
        for number, (result, seconds) in ended.items():
            assert isinstance(result.answer, CallDone), f"call {number}: {result.error}"
            assert seconds <= HEDGED_S, f"call {number} took {seconds:.3f} s"


def payments_meet_a_stopped_endpoint(seed: int) -> None:
    """None is carried out twice, also when the endpoint goes on while they could still run; those that it held end
    soon, and as `maybe`."""
    with Fleet.running(seed, 5) as fleet:
        charged = paying(fleet)
        ended = calls_while_one_is_paused(
            fleet,
            lambda via, number: fleet.call(via, "pay.charge", msgspec.json.encode(Charge(number))),
            "n3",
        )
        fleet.world.resume("n3")
        fleet.world.run_for(6.0)
        for number, (result, seconds) in ended.items():
            assert charged[number] <= 1, f"payment {number} was carried out {charged[number]} times"
            if isinstance(result.answer, CallDone):
                assert charged[number] == 1
            else:
                assert isinstance(result.error, Maybe), result.error
            assert seconds <= SILENT_S, f"payment {number} took {seconds:.3f} s"


def partition_by_rule(fleet: Fleet, one: str, other: str) -> Callable[[], None]:
    """Separate two nodes by the rules that users make; call what is returned to heal."""
    document = add_fault(FaultDocument(), Fault(kind="partition", at="2026-01-01T00:00:00Z", groups=[[one], [other]]))

    def apply(document: FaultDocument) -> None:
        for node in fleet.nodes.values():
            node.hooks.read_faults = lambda: encode_faults(document)
            node.reload_faults()

    apply(document)
    return lambda: apply(heal(document, None, "2026-01-01T00:00:01Z"))


def an_endpoint_dies_behind_a_partition(seed: int) -> None:
    """It has carried out the payment, and its reset stays hidden. Other calls, dials and refusals follow."""
    with Fleet.running(seed, 3) as fleet:
        charged = paying(fleet)
        fleet.nodes["n1"].requests.registry.forget("n1")  # so that the call leaves this node
        for _ in range(4):
            fleet.wait(fleet.call("n1", "pay.charge", msgspec.json.encode(Charge(0))))
        payment = fleet.call("n1", "pay.charge", msgspec.json.encode(Charge(1)))
        while not charged[1]:
            fleet.world.run_for(0.0001)
        assert not payment.ended
        (told,) = [one for one in fleet.nodes["n1"].requests.services() if one["service"] == "pay"]
        ran = next(one["node"] for one in told["endpoints"] if one["evidence"]["in_flight"])
        healed = partition_by_rule(fleet, "n1", ran)
        fleet.world.run_for(0.001)
        fleet.crash(ran)
        fleet.world.run_for(0.003)
        healed()
        for number in range(2, 20):
            fleet.call("n1", "pay.charge", msgspec.json.encode(Charge(number)))
            fleet.world.run_for(0.02)
        fleet.world.run_for(6.0)
        assert charged[1] == 1, f"the payment was carried out {charged[1]} times"
        assert isinstance(payment.error, Maybe), payment.error


def never_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestRouter, "_silent", lambda self, node: None)


def never_hedge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestRouter, "_quiet", lambda self, node, unanswered_s: None)


def repeat_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "is_repeatable", lambda self, service, operation: True)


def call_a_hidden_end_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was: the next dial of the lane ended what a partition had kept waiting, and ended it as never sent."""

    def ended(self: Rpc, connection: Connection, reason: str, hidden: bool) -> None:
        for done in self.pending.lost(connection.target, connection):
            done(connection.target, Unreachable(f"{connection.target} cannot be reached: {reason}"))

    monkeypatch.setattr(Rpc, "_ended", ended)


def hedge_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "is_readonly", lambda self, service, operation: True)


SAFEGUARDS = [
    Safeguard(
        "calls are hedged before a silent node is given up",
        "SIGSTOP of one endpoint costs no repeatable request more than its hedge.",
        never_hedge,
        readonly_calls_meet_a_stopped_endpoint,
    ),
    Safeguard(
        "calls at a silent node are given up",
        "A request that may not be repeated is maybe when its endpoint is silent, not when its deadline passes.",
        never_give_up,
        payments_meet_a_stopped_endpoint,
    ),
    Safeguard(
        "only what may be repeated is repeated",
        "An operation that is neither readonly nor idempotent never runs on two nodes for one call.",
        repeat_everything,
        payments_meet_a_stopped_endpoint,
    ),
    Safeguard(
        "only what is readonly is hedged",
        "An operation that changes something never runs on two nodes while one of them may answer.",
        hedge_everything,
        payments_meet_a_stopped_endpoint,
    ),
    Safeguard(
        "a call whose connection ended unseen is never definite",
        "What may have been sent never becomes definite: also when its connection was lost behind a partition.",
        call_a_hidden_end_unreachable,
        an_endpoint_dies_behind_a_partition,
    ),
]
