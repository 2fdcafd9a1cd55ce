"""The account of writes: what is lost, what may be there, and what must not."""

from hypothesis import given
from hypothesis import strategies as st

from dsectl.load.ledger import Key, Ledger
from dsectl.load.plan import Payloads, Sizes

PAYLOADS = Payloads(Sizes())


def ledger(count: int = 1) -> Ledger:
    return Ledger("load-x-0-", count, PAYLOADS)


def value(key: Key, number: int) -> bytes:
    return PAYLOADS.make(key.name, number)


def acknowledged(book: Ledger, times: int = 1) -> Key:
    key = book.keys[0]
    for _ in range(times):
        book.begin(key)
        book.acknowledge(key, b"context")
    return key


def test_the_value_acknowledged_last_must_be_there() -> None:
    book = ledger()
    key = acknowledged(book, 3)
    assert book.is_kept(key, [value(key, 3)])
    assert not book.is_kept(key, []), "gone"
    assert not book.is_kept(key, [value(key, 2)]), "an older one is no substitute"
    assert not book.is_kept(key, [b"something else"])


def test_a_write_in_doubt_may_be_there_instead_and_its_key_is_not_written_again() -> None:
    book = ledger()
    key = acknowledged(book)
    book.begin(key)
    fresh = book.doubt(key, 0)
    assert book.is_kept(key, [value(key, 1)]) and book.is_kept(key, [value(key, 2)])
    assert not book.is_kept(key, [])
    assert book.unexpected(key, [value(key, 1), value(key, 2)]) == []
    assert book.keys == [fresh] and book.retired == [key] and fresh.name != key.name and not fresh.sent
    book.begin(fresh)
    again = book.doubt(fresh, 0)
    assert len({key.name, fresh.name, again.name}) == 3
    assert book.written() == [key, fresh], "the fresh one was not written yet"


def test_nothing_needs_to_be_there_where_nothing_was_acknowledged() -> None:
    book = ledger()
    key = book.keys[0]
    book.begin(key)
    book.doubt(key, 0)
    assert book.is_kept(key, []) and book.is_kept(key, [value(key, 1)])


def test_what_nobody_wrote_is_unexpected() -> None:
    book = ledger(2)
    key = acknowledged(book)
    strange = [b"foreign", value(book.keys[1], 1), value(key, 2), value(key, 1) + b" "]
    assert book.unexpected(key, [value(key, 1), *strange]) == strange


def test_what_was_refused_for_certain_is_unexpected() -> None:
    book = ledger()
    key = acknowledged(book)
    book.begin(key)
    book.refuse(key)
    assert book.unexpected(key, [value(key, 2)]) == [value(key, 2)]
    assert book.is_kept(key, [value(key, 1)]), "and the one before must still be there"
    assert not book.is_newest(key, [value(key, 2)], None)


def test_a_replaced_value_must_not_stand_beside_the_one_that_replaced_it() -> None:
    book = ledger()
    key = acknowledged(book, 2)
    assert book.risen(key, [value(key, 1), value(key, 2)]) == [value(key, 1)]
    assert book.risen(key, [value(key, 2)]) == []
    assert book.risen(key, [value(key, 1)]) == [], "then the newer one is lost, which is told once"


def test_reads_that_are_behind() -> None:
    book = ledger()
    key = acknowledged(book, 2)
    assert not book.is_stale(key, [value(key, 2)], 2)
    assert book.is_stale(key, [value(key, 1)], 2) and book.is_stale(key, [], 2)
    assert not book.is_stale(key, [value(key, 1)], 1), "it was the newest when the read began"


def test_the_short_way_says_what_the_long_one_says() -> None:
    book = ledger()
    key = acknowledged(book, 2)
    assert book.is_newest(key, [value(key, 2)], None)
    assert not book.is_newest(key, [value(key, 1)], None)
    assert not book.is_newest(key, [value(key, 2), value(key, 1)], None) and not book.is_newest(key, [], None)
    assert book.is_newest(key, [value(key, 1)], value(key, 1)), "a read that began before the second write"


@given(st.lists(st.sampled_from(["ok", "no", "maybe"]), min_size=1, max_size=30))
def test_whatever_the_outcomes_a_store_that_keeps_its_word_is_never_accused(outcomes: list[str]) -> None:
    """A model of one replica that applies a write in doubt, or does not, in turn."""
    book = ledger()
    store: dict[str, bytes] = {}
    for number, outcome in enumerate(outcomes):
        key = book.keys[0]
        written = book.begin(key)
        if outcome == "ok":
            store[key.name] = written
            book.acknowledge(key, b"c")
        elif outcome == "no":
            book.refuse(key)
        else:
            if number % 2:
                store[key.name] = written
            book.doubt(key, 0)
    for key in book.written():
        values = [store[key.name]] if key.name in store else []
        assert book.is_kept(key, values) and not book.unexpected(key, values) and not book.risen(key, values)
        if key.acknowledged:
            assert not book.is_kept(key, []), "and one that forgets is"
