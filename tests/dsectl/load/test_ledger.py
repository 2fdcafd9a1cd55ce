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
    assert book.reading(key, [value(key, 3)]).is_kept
    assert not book.reading(key, []).is_kept, "gone"
    assert not book.reading(key, [value(key, 2)]).is_kept, "an older one is no substitute"
    assert not book.reading(key, [b"something else"]).is_kept


def test_a_write_in_doubt_may_be_there_instead_and_its_key_is_not_written_again() -> None:
    book = ledger()
    key = acknowledged(book)
    book.begin(key)
    fresh = book.doubt(key, 0)
    assert book.reading(key, [value(key, 1)]).is_kept and book.reading(key, [value(key, 2)]).is_kept
    assert not book.reading(key, []).is_kept
    assert book.reading(key, [value(key, 1), value(key, 2)]).strange == []
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
    assert book.reading(key, []).is_kept and book.reading(key, [value(key, 1)]).is_kept


def test_what_nobody_wrote_is_unexpected() -> None:
    book = ledger(2)
    key = acknowledged(book)
    strange = [b"foreign", value(book.keys[1], 1), value(key, 2), value(key, 1) + b" "]
    assert book.reading(key, [value(key, 1), *strange]).strange == strange


def test_what_was_refused_for_certain_is_unexpected() -> None:
    book = ledger()
    key = acknowledged(book)
    book.begin(key)
    book.refuse(key)
    assert book.reading(key, [value(key, 2)]).strange == [value(key, 2)]
    assert book.reading(key, [value(key, 1)]).is_kept, "and the one before must still be there"
    assert not book.is_newest(key, [value(key, 2)], None)


def test_a_replaced_value_must_not_stand_beside_the_one_that_replaced_it() -> None:
    book = ledger()
    key = acknowledged(book, 2)
    assert book.reading(key, [value(key, 1), value(key, 2)]).risen == [value(key, 1)]
    assert book.reading(key, [value(key, 2)]).risen == []
    assert book.reading(key, [value(key, 1)]).risen == [], "then the newer one is lost, which is told once"


def test_reads_that_are_behind() -> None:
    book = ledger()
    key = acknowledged(book, 2)
    assert book.reading(key, [value(key, 2)]).newest >= 2
    assert book.reading(key, [value(key, 1)]).newest < 2 and book.reading(key, []).newest < 2
    assert book.reading(key, [value(key, 1)]).newest >= 1, "it was the newest when the read began"


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
        found = book.reading(key, values)
        assert found.is_kept and not found.strange and not found.risen
        if key.acknowledged:
            assert not book.reading(key, []).is_kept, "and one that forgets is"
