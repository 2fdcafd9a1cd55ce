"""The account of messages: delivered, dropped, twice, never published."""

from dsectl.load.plan import Payloads, Sizes
from dsectl.load.publish import Deliveries
from dsectl.load.tally import LoadReport

PAYLOADS = Payloads(Sizes())


def published(subscribers: int = 1, count: int = 3, accepted: int = 3) -> tuple[Deliveries, list[bytes]]:
    found = Deliveries("load-x-0", subscribers, PAYLOADS, LoadReport())
    payloads = [found.begin()[1] for _ in range(count)]
    for number in range(1, accepted + 1):
        found.accept(number)
    return found, payloads


def test_all_arrive() -> None:
    found, payloads = published(subscribers=2)
    assert found.found.dropped == 6
    firsts = [found.receive(subscriber, payload) for payload in payloads for subscriber in (0, 1)]
    assert firsts == [1, 1, 2, 2, 3, 3]
    assert (found.found.delivered, found.found.dropped, found.found.duplicated, found.found.unexpected) == (6, 0, 0, 0)


def test_what_does_not_arrive_is_dropped_if_it_was_accepted() -> None:
    found, payloads = published(count=3, accepted=2)
    found.receive(0, payloads[0])
    assert (found.found.delivered, found.found.dropped) == (1, 1), (
        "the third was never accepted, so nothing was promised"
    )


def test_a_message_may_arrive_before_its_publication_is_acknowledged_or_without() -> None:
    found, payloads = published(accepted=0)
    found.receive(0, payloads[0])
    found.accept(1)
    found.receive(0, payloads[1])
    assert (found.found.delivered, found.found.dropped, found.found.unexpected) == (2, 0, 0)


def test_twice_to_one_subscription_is_a_duplicate_and_to_two_is_not() -> None:
    found, payloads = published(subscribers=2)
    assert found.receive(0, payloads[0]) == 1 and found.receive(1, payloads[0]) == 1
    assert found.receive(0, payloads[0]) is None
    assert (found.found.duplicated, found.found.delivered) == (1, 2)


def test_what_nobody_published_is_unexpected() -> None:
    found, payloads = published()
    other = Deliveries("load-y-0", 1, PAYLOADS, LoadReport()).begin()[1]
    for payload in (b"hello", other, PAYLOADS.make("load-x-0", 4), PAYLOADS.make("load-x-0", 0), payloads[0][:-1]):
        assert found.receive(0, payload) is None
    assert (found.found.unexpected, found.found.delivered) == (5, 0)
