"""The ring of events: ids, filters, bounds, listeners."""

from typing import Any

import pytest

from cluster.errors import Usage
from cluster.observe.events import Event, Events, event_order
from tests.observe.hand_clock import HandClock


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [event_order(event["id"])[2] for event in found]


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_700_000_000.0)


@pytest.fixture
def events(clock: HandClock) -> Events:
    """Four events, a second apart."""
    events = Events(clock, "n3", 7, 100)
    for kind, key in [("membership.suspect", "a"), ("membership.dead", "b"), ("kv.repair", "a"), ("fault", "c")]:
        events.record(kind, "because", key=key)
        clock.advance(1)
    return events


def test_an_event_says_what_when_where_and_why(events: Events) -> None:
    assert events.since()[0] == {
        "id": "n3-7-000001",
        "at": "2023-11-14T22:13:20.000Z",
        "node": "n3",
        "kind": "membership.suspect",
        "cause": "because",
        "key": "a",
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"kind": "membership"}, [1, 2]),
        ({"kind": "membership.dead"}, [2]),
        ({"kind": "nothing"}, []),
        ({"key": "a"}, [1, 3]),
        ({"kind": "kv", "key": "a"}, [3]),
        ({"limit": 2}, [3, 4]),
        ({"limit": 0}, []),
        ({"start": "n3-7-000002"}, [3, 4]),
        ({"start": "n3-7-000002", "limit": 1}, [3]),
        ({"start": "n3-6-999999"}, [1, 2, 3, 4]),
        ({"start": "n3-10-000001"}, []),
        ({"start": "2023-11-14T22:13:22Z"}, [3, 4]),
        ({"start": "2023-11-14T23:13:22.500+01:00"}, [4]),
        ({"start": 1_700_000_003.0}, [4]),
    ],
)
def test_reading_since(events: Events, filters: dict[str, Any], expected: list[int]) -> None:
    assert ids(events.since(**filters)) == expected


@pytest.mark.parametrize("start", ["n1-7-000001", "yesterday", "n3-x-1", ""])
def test_a_start_that_means_nothing_here_is_refused(events: Events, start: str) -> None:
    with pytest.raises(Usage):
        events.since(start)


def test_the_ring_forgets_the_oldest(clock: HandClock) -> None:
    events = Events(clock, "n1", 1, 3)
    for _ in range(5):
        events.record("kind", "cause")
    assert ids(events.since()) == [3, 4, 5]
    assert events.forgotten == 2


def test_ids_sort_past_six_digits(clock: HandClock) -> None:
    events = Events(clock, "n1", 1, 3)
    events.count = 999_998
    made = [events.record("kind", "cause").id for _ in range(3)]
    assert sorted(made, key=event_order) == made
    assert ids(events.since(made[0])) == [1_000_000, 1_000_001]


def test_listeners_hear_in_order_and_may_end_themselves(events: Events) -> None:
    heard: list[str] = []

    def once(event: Event) -> None:
        heard.append(f"once {event.kind}")
        events.on_event.remove(once)

    events.on_event += [once, lambda event: heard.append(event.kind)]
    events.record("one", "cause")
    events.record("two", "cause")
    assert heard == ["once one", "one", "two"]


def test_evidence_may_not_hide_a_field(events: Events) -> None:
    with pytest.raises(AssertionError):
        events.record("kind", "cause", at="now")


def test_the_newest_after_those_that_were_seen(events: Events) -> None:
    assert ids(events.newest(0, 10)) == [1, 2, 3, 4]
    assert ids(events.newest(2, 10)) == [3, 4]
    assert ids(events.newest(0, 2)) == [3, 4], "the oldest are left out"
    assert events.newest(4, 10) == events.newest(9, 10) == events.newest(0, 0) == []


def test_the_newest_of_a_ring_that_has_forgotten(clock: HandClock) -> None:
    events = Events(clock, "n1", 1, 3)
    for number in range(5):
        events.record("kind", str(number))
    assert ids(events.newest(0, 10)) == [3, 4, 5]
