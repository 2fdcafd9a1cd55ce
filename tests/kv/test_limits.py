"""Limits of a key, on a small simulated cluster: what is over one is refused before anything is stored or sent, typed
and definite; what fits can always be read, delivered and deleted, and holds up nothing else."""

from collections.abc import Iterator

import pytest

from cluster.limits import CLOCK_ACTORS_MAX, KEY_BYTES_MAX, OPERATION_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.versions import CONTEXT_BYTES_MAX, decode, encode_clock
from cluster.wire.kv import Got, PutDone


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet.running(7, 5) as fleet:
        yield fleet


def done(result: SimulatedRequest) -> PutDone:
    assert isinstance(result.answer, PutDone), result.error
    return result.answer


def got(result: SimulatedRequest) -> Got:
    assert isinstance(result.answer, Got), result.error
    return result.answer


def refusal(result: SimulatedRequest) -> str:
    """The code of a definite refusal."""
    assert result.error is not None and result.error.definite, result.answer
    return result.error.code


def log_bytes(fleet: Fleet) -> int:
    disks = [fleet.world.disk(name) for name in fleet.names]
    return sum(len(disk.read(f"log/{file}")) for disk in disks for file in disk.names("log"))


def test_a_session_that_only_puts_beside_a_sibling_it_never_read_replaces_its_own_write(fleet: Fleet) -> None:
    owner = fleet.owners("cart")[0]
    context = done(fleet.wait(fleet.put(owner, "cart", b"mine"))).context
    done(fleet.wait(fleet.put(owner, "cart", b"of another session")))
    for number in range(120):
        via = fleet.names[number % 5]
        answer = done(fleet.wait(fleet.put(via, "cart", b"mine %d" % number, context=context)))
        assert (answer.outcome, answer.siblings) == ("ok", 2), "and it is told that there is one more"
        assert len(answer.context) < 500
        context = answer.context
    found = got(fleet.wait(fleet.get("n1", "cart")))
    assert sorted(found.siblings) == [b"mine 119", b"of another session"]


def test_a_session_that_began_blind_replaces_its_own_write(fleet: Fleet) -> None:
    done(fleet.wait(fleet.put("n1", "cart", b"of another session")))
    first = done(fleet.wait(fleet.put("n1", "cart", b"one")))
    done(fleet.wait(fleet.put("n2", "cart", b"two", context=first.context)))
    assert sorted(got(fleet.wait(fleet.get("n1", "cart"))).siblings) == [b"of another session", b"two"]


def test_at_the_limit_of_siblings_a_context_that_replaces_none_helps_nobody(fleet: Fleet) -> None:
    stale = done(fleet.wait(fleet.put("n1", "cart", b"seen"))).context
    for number in range(SIBLINGS_MAX):
        context = stale if number % 2 else None
        assert done(fleet.wait(fleet.put("n1", "cart", b"%d" % number, context=context))).outcome == "ok"
    fleet.world.run_for(2.0)
    before = log_bytes(fleet)
    for context in (None, stale):
        assert refusal(fleet.wait(fleet.put("n2", "cart", b"one too many", context=context))) == "siblings"
    fleet.world.run_for(2.0)
    assert log_bytes(fleet) == before, "nothing was stored"
    found = got(fleet.wait(fleet.get("n2", "cart")))
    assert len(found.siblings) == SIBLINGS_MAX
    assert done(fleet.wait(fleet.put("n1", "cart", b"merged", context=found.context))).siblings == 1


def test_values_that_together_exceed_the_limit_are_refused_before_they_are_acknowledged(fleet: Fleet) -> None:
    owners = fleet.owners("cart")
    outcomes = []
    for letter in b"ABCDEFGHI":
        result = fleet.wait(fleet.put(owners[0], "cart", bytes([letter]) * VALUE_BYTES_MAX))
        outcomes.append(result.answer.outcome if isinstance(result.answer, PutDone) else refusal(result))
    assert outcomes == ["ok", "ok"] + ["siblings"] * 7
    fleet.until(fleet.settled)
    for name in fleet.up:
        found = got(fleet.wait(fleet.get(name, "cart")))
        assert [value[:1] for value in found.siblings] == [b"A", b"B"]
    gone = done(fleet.wait(fleet.put("n1", "cart", b"", deleted=True, context=found.context)))
    assert gone.siblings == 0
    assert got(fleet.wait(fleet.get("n2", "cart"))).siblings == []


def test_a_fallback_adds_one_clock_entry_an_outage_and_not_one_a_write(fleet: Fleet) -> None:
    owners, fallback = fleet.owners("cart"), fleet.fallbacks("cart")[0]
    context = None
    for outage in range(1, 4):
        for name in owners:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes(name, owner) == "dead" for name in fleet.up for owner in owners), 60)
        for number in range(100):
            answer = done(fleet.wait(fleet.put(fallback, "cart", b"%d" % number, context=context)))
            assert answer.outcome == "ok-sloppy"
            context = answer.context
        fleet.start(*owners)
        fleet.until(fleet.settled, 120)
        held = fleet.stored(owners[0], "cart")
        assert held is not None and len(decode(held).clock) == outage
        found = got(fleet.wait(fleet.get(owners[1], "cart", strict=True)))
        assert found.siblings == [b"99"]


def test_an_owner_keeps_its_actor_over_boots(fleet: Fleet) -> None:
    owner = fleet.owners("cart")[0]
    for number in range(4):
        read = got(fleet.wait(fleet.get(owner, "cart")))
        done(fleet.wait(fleet.put(owner, "cart", b"%d" % number, context=read.context)))
        fleet.crash(owner)
        fleet.start(owner)
        fleet.until(fleet.settled, 60)
    held = fleet.stored(owner, "cart")
    assert held is not None and len(decode(held).clock) == 1


def test_a_full_clock_takes_nothing_but_a_delete(fleet: Fleet) -> None:
    """A context can only name what some node once gave; here a client makes one up."""
    made_up = encode_clock({f"n9-{number:08x}.1.0": 1 for number in range(CLOCK_ACTORS_MAX)})
    assert refusal(fleet.wait(fleet.put("n1", "cart", b"x", context=made_up))) == "clock-full"
    assert done(fleet.wait(fleet.put("n1", "cart", b"", deleted=True, context=made_up))).outcome == "ok"


LONG = "k" * (KEY_BYTES_MAX + 1)


def test_a_key_that_cannot_be_is_refused_whoever_asks_for_it(fleet: Fleet) -> None:
    assert refusal(fleet.wait(fleet.put("n1", LONG, b"x"))) == "too-large"
    assert refusal(fleet.wait(fleet.get("n1", LONG))) == "too-large"
    assert refusal(fleet.wait(fleet.get("n1", LONG, local=True))) == "too-large"
    assert refusal(fleet.wait(fleet.get("n1", ""))) == "too-large"
    assert refusal(fleet.wait(fleet.put("n1", "ö" * (KEY_BYTES_MAX // 2 + 1), b"x"))) == "too-large"
    assert done(fleet.wait(fleet.put("n1", "ö" * (KEY_BYTES_MAX // 2), b"x"))).outcome == "ok"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("o" * (OPERATION_BYTES_MAX + 1), "too-large"),
        ("o" * 2**20, "too-large"),
        ("", "usage"),
        ("a\nb", "usage"),
        ("ö", "usage"),
    ],
)
def test_an_operation_id_that_cannot_be_is_refused(fleet: Fleet, operation: str, code: str) -> None:
    assert refusal(fleet.wait(fleet.put("n1", "cart", b"x", operation=operation))) == code


def test_a_context_longer_than_any_is_refused(fleet: Fleet) -> None:
    assert refusal(fleet.wait(fleet.put("n1", "cart", b"x", context=bytes(CONTEXT_BYTES_MAX + 1)))) == "bad-context"


def fill_apart(fleet: Fleet) -> dict[bytes, str]:
    """Each node alone takes two of the largest values, as many as it may; which were acknowledged, by whom."""
    fleet.world.partition([[name] for name in fleet.names])
    kept = {}
    for number, name in enumerate(fleet.names * 2):
        letter = bytes([65 + number])
        answer = fleet.wait(fleet.put(name, "cart", letter * VALUE_BYTES_MAX, w=1)).answer
        if isinstance(answer, PutDone) and answer.outcome == "ok-sloppy":
            kept[letter] = name
    fleet.world.heal()
    return kept


def letters(found: Got) -> set[bytes]:
    return {value[:1] for value in found.siblings}


def test_what_five_nodes_took_apart_comes_together_and_is_read_and_deleted(fleet: Fleet) -> None:
    kept = fill_apart(fleet)
    assert len(kept) >= 9
    fleet.until(fleet.settled)
    votes = [node.replication.context.status for node in fleet.nodes.values()]
    fleet.until(lambda: not any(status.may_miss_hints for status in votes))  # else a read is degraded
    for name in fleet.names:
        found = got(fleet.wait(fleet.get(name, "cart")))
        assert letters(found) >= set(kept) and not found.degraded
        assert refusal(fleet.wait(fleet.put(name, "cart", b"blind"))) == "siblings", "it may only become smaller"
    assert done(fleet.wait(fleet.put("n1", "cart", b"merged", context=found.context))).siblings == 1


def test_what_no_frame_carries_together_is_read_in_parts_and_holds_up_nothing_else() -> None:
    with Fleet.running(7, 9) as fleet:
        kept = fill_apart(fleet)
        assert len(kept) >= 17
        fleet.world.run_for(5.0)
        for name in fleet.names:
            assert done(fleet.wait(fleet.put(name, f"other-{name}", b"x"))).outcome == "ok"
        assert all(fleet.nodes[name].replication.context.status.state() == "running" for name in fleet.names)
        seen: set[bytes] = set()
        for _ in range(6):
            found = got(fleet.wait(fleet.get("n1", "cart")))
            seen |= letters(found)
            done(fleet.wait(fleet.put("n1", "cart", b"", deleted=True, context=found.context)))
            fleet.world.run_for(61.0)  # a hint that its owner refuses rests for a minute
        assert seen >= set(kept), "each was shown before it was replaced"
        assert got(fleet.wait(fleet.get("n2", "cart", strict=True))).siblings == []
        assert fleet.settled()
