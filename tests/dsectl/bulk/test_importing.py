"""Imports into a store that stands in for a cluster: what is written, what is not, and what errors do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClockFull, ClusterError, Failed, Maybe, Overloaded, TooManySiblings, Usage, WrongType
from cluster.limits import COUNTER_MAX
from dsectl.bulk import importing
from dsectl.bulk.importing import BYTES_IN_FLIGHT_MAX, ERRORS_MAX, IN_FLIGHT_MAX, Import
from dsectl.bulk.line import COUNTER, SET, VALUE, format_line
from dsectl.bulk.reading import Line
from tests.dsectl.bulk.store import FakeClient

VALUES = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3)


def run(
    fake: FakeClient, lines: Iterable[bytes], prefix: str = "", is_stopped: Callable[[], bool] = lambda: False
) -> Import:
    async def numbered() -> AsyncIterator[Line]:
        for number, line in enumerate(lines, 1):
            yield number, line

    job = Import(fake.client, prefix, is_stopped=is_stopped)
    asyncio.run(job.run(numbered()))
    return job


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused for now is tried a few times and no longer."""
    monkeypatch.setattr(importing, "PAUSE_S", 0.0)
    monkeypatch.setattr(importing, "PATIENCE", 0.01)


def maybe(**detail: str) -> Maybe:
    return Maybe("the deadline passed", key="k", **detail)


def test_the_file_is_what_the_keys_hold() -> None:
    fake = FakeClient()
    fake.kv.rows = {"there": [b"1"], "other": [b"2"], "apart": [b"3"]}
    job = run(fake, [format_line("there", [b"1"]), b"", format_line("other", [b"x"]), format_line("new", [b"y"])])
    assert fake.kv.rows == {"there": [b"1"], "other": [b"x"], "apart": [b"3"], "new": [b"y"]}
    assert (job.lines, job.written, job.unchanged, job.errors) == (4, 2, 1, [])
    assert fake.kv.puts == [("other", b"x"), ("new", b"y")]


@given(VALUES, st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=3, unique=True))
def test_siblings_that_are_there_are_not_written_again(wanted: list[bytes], there: list[bytes]) -> None:
    wanted = list(dict.fromkeys(wanted))
    fake = FakeClient()
    fake.kv.rows = {"k": list(there)}
    job = run(fake, [format_line("k", wanted)])
    assert sorted(fake.kv.rows["k"]) == sorted(wanted)
    assert job.errors == []
    if set(there) <= set(wanted):
        assert {value for _, value in fake.kv.puts} == set(wanted) - set(there)


def test_the_later_of_two_lines_with_one_key_counts() -> None:
    fake = FakeClient()
    run(fake, [format_line("k", [b"%d" % number]) for number in range(50)])
    assert fake.kv.rows == {"k": [b"49"]}


def test_a_second_time_writes_nothing() -> None:
    fake = FakeClient()
    lines = [format_line(f"k{number}", [b"v"]) for number in range(1000)]
    assert run(fake, lines).written == 1000
    fake.kv.puts.clear()
    job = run(fake, lines)
    assert (job.written, job.unchanged, fake.kv.puts) == (0, 1000, [])


def test_many_are_in_flight_and_no_more_than_are_allowed() -> None:
    fake = FakeClient()
    run(fake, [format_line(f"k{number}", [b"v"]) for number in range(5 * IN_FLIGHT_MAX)])
    assert fake.kv.in_flight_max == IN_FLIGHT_MAX
    fake = FakeClient()
    large = b"v" * (BYTES_IN_FLIGHT_MAX // 20)
    run(fake, [format_line(f"k{number}", [large]) for number in range(60)])
    assert 10 < fake.kv.in_flight_max < 20


def test_only_keys_with_the_prefix() -> None:
    fake = FakeClient()
    job = run(fake, [format_line(key, [b"v"]) for key in ("a1", "b1", "a2")], prefix="a")
    assert (sorted(fake.kv.rows), job.passed_over) == (["a1", "a2"], 1)


def test_a_wrong_line_is_noted_and_the_others_are_written() -> None:
    fake = FakeClient()
    job = run(fake, [format_line("a", [b"v"]), b"nonsense", b'{"key":"b"}', format_line("c", [b"v"])])
    assert sorted(fake.kv.rows) == ["a", "c"]
    assert [(error.line, error.error.code) for error in job.errors] == [(2, "usage"), (3, "usage")]


def test_another_file_is_left_soon() -> None:
    fake = FakeClient()
    job = run(fake, (b"nonsense" for _ in range(1_000_000)))
    assert job.lines == len(job.errors) == ERRORS_MAX


def test_what_is_refused_for_now_is_tried_again(impatient: None) -> None:
    fake = FakeClient()
    fake.kv.failures.extend(Overloaded("busy") for _ in range(3))
    job = run(fake, [format_line("k", [b"v"])])
    assert (fake.kv.rows, job.written, job.errors) == ({"k": [b"v"]}, 1, [])


def test_a_write_that_may_have_happened_is_repeated_as_the_same(impatient: None) -> None:
    fake = FakeClient()
    fake.kv.lost.extend(maybe(operation="o1", coordinator="n1") for _ in range(3))
    job = run(fake, [format_line("k", [b"v"])])
    assert (fake.kv.rows, fake.kv.puts, job.errors) == ({"k": [b"v"]}, [("k", b"v")], [])


@pytest.mark.parametrize(
    ("errors", "code", "definite"),
    [
        ([Failed("no disk")], "failed", True),
        ([Overloaded("busy")] * 100_000, "overloaded", True),
    ],
)
def test_what_the_cluster_takes_from_nobody_ends_it(
    impatient: None, errors: list[ClusterError], code: str, definite: bool
) -> None:
    fake = FakeClient()
    fake.kv.failures.extend(errors)
    fake.kv.rows = {f"k{number}": [b"v"] for number in range(2000) if number != 7}
    job = run(fake, [format_line(f"k{number}", [b"v"]) for number in range(2000)])
    [error] = job.errors
    assert (error.line, error.key, error.error.code, error.error.definite) == (8, "k7", code, definite)
    assert job.lines - 2 <= job.unchanged < job.lines, "all that were begun are counted"
    assert fake.kv.in_flight == 0 and job.ends


@pytest.mark.parametrize(
    "error", [TooManySiblings("50"), WrongType("a set"), Usage("over 64 bits"), ClockFull("1,000 writers")]
)
def test_what_one_key_does_not_take_is_noted_and_the_rest_goes_on(error: ClusterError) -> None:
    fake = FakeClient()
    fake.kv.failures.append(error)
    job = run(fake, [format_line(f"k{number}", [b"v"]) for number in range(2000)])
    assert [(one.line, one.error) for one in job.errors] == [(1, error)]
    assert (job.lines, job.written, job.ends) == (2000, 1999, False)


def test_a_file_that_cannot_be_read_any_further_ends_it() -> None:
    async def broken() -> AsyncIterator[Line]:
        yield 1, format_line("k", [b"v"])
        raise Usage("cannot read the lines: Input/output error")

    fake = FakeClient()
    job = Import(fake.client)
    asyncio.run(job.run(broken()))
    assert [(one.line, one.error.code) for one in job.errors] == [(2, "usage")]
    assert (fake.kv.rows, job.written, job.ends) == ({"k": [b"v"]}, 1, True)


def test_siblings_where_the_last_writer_wins_are_not_called_written() -> None:
    fake = FakeClient()
    fake.kv.one_value = True
    job = run(fake, [format_line("k", [b"a", b"b"]), format_line("l", [b"a"])])
    assert [(one.line, one.error.code) for one in job.errors] == [(1, "wrong-type")] and job.written == 1


@pytest.mark.parametrize(
    "errors",
    [
        [maybe()],
        [maybe(operation="o1", coordinator="n1"), Failed("it does not know")],
        [maybe(operation="o1", coordinator="n1"), *[Overloaded("busy")] * 100_000],
    ],
)
def test_what_nobody_can_tell_is_noted_and_the_rest_goes_on(impatient: None, errors: list[ClusterError]) -> None:
    fake = FakeClient()
    fake.kv.failures.extend(errors)
    fake.kv.rows = {f"k{number}": [b"v"] for number in range(2000) if number != 7}
    job = run(fake, [format_line(f"k{number}", [b"v"]) for number in range(2000)])
    [error] = job.errors
    assert (error.line, error.key, error.error.code, error.error.definite) == (8, "k7", "maybe", False)
    assert job.unchanged == 1999


def test_what_nobody_can_tell_and_is_there_is_written(impatient: None) -> None:
    fake = FakeClient()
    fake.kv.lost.append(maybe())
    job = run(fake, [format_line("k", [b"v"])])
    assert (job.written, job.errors, fake.kv.puts) == (1, [], [("k", b"v")])


def test_many_of_them_end_it(impatient: None) -> None:
    fake = FakeClient()
    fake.kv.failures.extend(maybe() for _ in range(5000))
    job = run(fake, [format_line(f"k{number}", [b"v"]) for number in range(5000)])
    assert ERRORS_MAX <= len(job.errors) < 1000 and job.lines < 5000


def test_nothing_is_tried_again_once_it_is_stopped() -> None:
    fake = FakeClient()
    fake.kv.failures.extend([Overloaded("busy")] * 1000)
    job = run(fake, [format_line("k", [b"v"])], is_stopped=lambda: True)
    assert [error.error.code for error in job.errors] == ["overloaded"] and len(fake.kv.failures) == 999


def test_counters_and_sets_become_what_the_file_says() -> None:
    fake = FakeClient()
    fake.kv.counters, fake.kv.sets = {"up": 3, "there": 7, "down": 9}, {"tags": {b"a", b"b"}, "same": {b"x"}}
    counters = [format_line(key, [b"7"], COUNTER) for key in ("up", "there", "down", "fresh")]
    sets = [format_line("tags", [b"b", b"c"], SET), format_line("same", [b"x"], SET), format_line("new", [b"y"], SET)]
    job = run(fake, [*counters, *sets])
    assert fake.kv.counters == dict.fromkeys(("up", "there", "down", "fresh"), 7)
    assert fake.kv.sets == {"tags": {b"b", b"c"}, "same": {b"x"}, "new": {b"y"}}
    assert (job.written, job.unchanged, job.errors, fake.kv.updates) == (5, 2, [], 6)


def test_a_counter_goes_from_end_to_end() -> None:
    fake = FakeClient()
    fake.kv.counters = {"k": COUNTER_MAX}
    job = run(fake, [format_line("k", [b"%d" % -COUNTER_MAX], COUNTER)])
    assert (fake.kv.counters, job.errors) == ({"k": -COUNTER_MAX}, [])


def test_a_counter_may_begin_at_0() -> None:
    fake = FakeClient()
    job = run(fake, [format_line("k", [b"0"], COUNTER)])
    assert (fake.kv.counters, job.written) == ({"k": 0}, 1)


@pytest.mark.parametrize("there", ["a value", "a counter", "a set"])
@pytest.mark.parametrize(("number", "kind"), [(b"7", VALUE), (b"7", COUNTER), (b"0", COUNTER), (b"7", SET)])
def test_what_is_of_another_kind_is_not_replaced_nor_called_written(there: str, number: bytes, kind: str) -> None:
    if there == f"a {kind or 'value'}":
        return
    fake = FakeClient()
    match there:
        case "a value":
            fake.kv.rows = {"k": [b"7"]}
        case "a counter":
            fake.kv.counters = {"k": 7}
        case "a set":
            fake.kv.sets = {"k": {b"7"}}
    job = run(fake, [format_line("k", [number], kind), format_line("other", [b"v"])])
    assert [error.error.message for error in job.errors] == [f"'k' is {there}, not a {kind or 'value'}"]
    assert (job.written, fake.kv.updates) == (1, 0)


def test_what_nobody_foresaw_is_raised_and_no_line_lost_in_silence() -> None:
    fake = FakeClient()
    fake.kv.failures.append(ZeroDivisionError())  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup):
        run(fake, [format_line("k", [b"v"])])
