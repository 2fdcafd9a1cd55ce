"""The reader of requests, cut anywhere and fed anything, and the writer of replies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateways.redis.resp import (
    PROVEN_LIMITS,
    UNPROVEN_LIMITS,
    ErrorReply,
    Members,
    Push,
    RequestLimits,
    RequestReader,
    RespError,
    Simple,
    encode,
    split_line,
)

WORDS = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


def request(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def drain(reader: RequestReader) -> list[list[bytes]]:
    found = []
    while (words := reader.next()) is not None:
        found.append(words)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The pieces of `data` between places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(WORDS, max_size=8), st.lists(st.integers(min_value=0), max_size=12))
def test_requests_come_out_however_they_are_cut(requests: list[list[bytes]], places: list[int]) -> None:
    reader, found = RequestReader(PROVEN_LIMITS), []
    for piece in cut(b"".join(map(request, requests)), places):
        reader.feed(piece)
        found += drain(reader)
    assert found == requests


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_anything_is_read_or_refused(pieces: list[bytes]) -> None:
    reader = RequestReader(UNPROVEN_LIMITS)
    try:
        for piece in pieces:
            reader.feed(piece)
            assert all(words for words in drain(reader))
    except RespError:
        pass


@given(
    st.lists(
        st.sampled_from([b"*", b"$", b"-", b"1", b"2", b"9", b"\r\n", b"\n", b"GET", b" ", b'"', b"x"]), max_size=40
    )
)
def test_what_nearly_is_the_protocol_is_read_or_refused(pieces: list[bytes]) -> None:
    whole, split = RequestReader(UNPROVEN_LIMITS), RequestReader(UNPROVEN_LIMITS)
    found: list[object] = []
    for reader, parts in ((whole, [b"".join(pieces)]), (split, pieces)):
        read: list[list[bytes]] = []
        try:
            for part in parts:
                reader.feed(part)
                read += drain(reader)
        except RespError as error:
            found.append((read, str(error)))
        else:
            found.append((read, ""))
    assert found[0] == found[1] or found[0][1], "cut or not, it says the same"  # type: ignore[index]


def test_a_word_in_many_pieces_is_joined_once() -> None:
    reader = RequestReader(PROVEN_LIMITS)
    data = request([b"set", b"k", bytes(1_000_000)])
    for start in range(0, len(data), 10):
        reader.feed(data[start : start + 10])
        words = reader.next()
    assert words == [b"set", b"k", bytes(1_000_000)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"*500000000\r\n", "invalid multibulk length"),
        (b"*99999999999999999999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$500000000\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$1_0\r\n", "invalid bulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*1\r\n+OK\r\n", "expected '$', got '+'"),
        (b"*1\r\n$1\r\nabc\r\n", "longer than it said"),
        (b"*10\r\n" + b"$1000\r\n" + bytes(1000) + b"\r\n" + (b"$1020\r\n" + bytes(1020) + b"\r\n") * 4, "4096 bytes"),
        (b"x" * 5000, "too big inline"),
        (b'get "a\r\n', "unbalanced quotes"),
        (b"a " * 11 + b"\n", "at most 10 words"),
    ],
)
def test_what_is_refused(data: bytes, said: str) -> None:
    reader = RequestReader(UNPROVEN_LIMITS)
    reader.feed(data)
    with pytest.raises(RespError, match=said.replace("$", r"\$").replace("+", r"\+")):
        drain(reader)


def test_what_is_announced_costs_nothing() -> None:
    """Sixteen thousand words are announced, and one has come: one is held."""
    reader = RequestReader(PROVEN_LIMITS)
    reader.feed(b"*16384\r\n$3\r\nset\r\n$1000000\r\n")
    assert reader.next() is None
    assert reader._words == [b"set"] and reader._held < 32


def test_limits_may_change_between_two_requests() -> None:
    reader = RequestReader(UNPROVEN_LIMITS)
    reader.feed(request([b"auth", b"p"]) + request([b"set", b"k", bytes(2000)]))
    assert reader.next() == [b"auth", b"p"]
    reader.limits = RequestLimits(words=3, word_bytes=2000, request_bytes=4000, line_bytes=10)
    assert reader.next() == [b"set", b"k", bytes(2000)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"  PING  ", [b"PING"]),
        (b'set k "a b\\n\\x41\\""', [b"set", b"k", b'a b\nA"']),
        (b"set k 'it\\'s \\n'", [b"set", b"k", b"it's \\n"]),
        (b'set k ""', [b"set", b"k", b""]),
        (b"", []),
    ],
)
def test_inline_words(line: bytes, words: list[bytes]) -> None:
    assert split_line(line) == words


def test_inline_and_arrays_mix_and_empty_lines_are_nothing() -> None:
    reader = RequestReader(UNPROVEN_LIMITS)
    reader.feed(b"PING\r\n\r\n\n*0\r\n*-1\r\n" + request([b"echo", b"x"]) + b"TIME\n")
    assert drain(reader) == [[b"PING"], [b"echo", b"x"], [b"TIME"]]


@pytest.mark.parametrize(
    ("value", "two", "three"),
    [
        (None, b"$-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (-7, b":-7\r\n", b":-7\r\n"),
        (b"a\r\n", b"$3\r\na\r\n\r\n", b"$3\r\na\r\n\r\n"),
        ("ü", b"$2\r\n\xc3\xbc\r\n", b"$2\r\n\xc3\xbc\r\n"),
        (Simple("OK"), b"+OK\r\n", b"+OK\r\n"),
        (ErrorReply("ERR a\r\n+OK"), b"-ERR a +OK\r\n", b"-ERR a +OK\r\n"),
        (["a", 1], b"*2\r\n$1\r\na\r\n:1\r\n", b"*2\r\n$1\r\na\r\n:1\r\n"),
        (Members(["a"]), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
        (Push(["a"]), b"*1\r\n$1\r\na\r\n", b">1\r\n$1\r\na\r\n"),
        ({"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    ],
)
def test_replies(value: object, two: bytes, three: bytes) -> None:
    assert encode(value, 2) == two and encode(value, 3) == three  # type: ignore[arg-type]
