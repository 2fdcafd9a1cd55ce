"""Requests come out of the reader however they are cut, within the limits, and not from web pages."""

from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateways.http1 import (
    PIPELINED_MAX,
    HttpError,
    HttpLimits,
    HttpReader,
    HttpRequest,
    encode_response,
    web_refusal,
)

LIMITS = HttpLimits(body_bytes=200, target_bytes=64, header_bytes=512, headers=8)
ONE = b"POST /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-Two: 1\r\nx-two:  2 \r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
LAST = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"


def drain(reader: HttpReader) -> list[HttpRequest]:
    found = []
    while (request := reader.next()) is not None:
        found.append(request)
    return found


@given(st.lists(st.integers(0, 400), max_size=12))
def test_requests_come_out_however_they_are_cut(places: list[int]) -> None:
    data = ONE + CHUNKED + LAST
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    reader, found = HttpReader(LIMITS), []
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
        found += drain(reader)
    one, chunked, last = found
    assert (one.method, one.path, one.query, one.body, one.keep_alive) == ("POST", "/a", "b=1", b"abc", True)
    assert one.headers == {"host": "127.0.0.1:1", "x-two": "1,2", "content-length": "3"}
    assert (chunked.method, chunked.body, last.keep_alive, reader.held) == ("PUT", b"abc", False, 0)


UPGRADE = b"Host: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"


@given(st.lists(st.integers(0, 600), max_size=12))
def test_an_upgrade_is_ignored_and_the_body_behind_it_is_read(places: list[int]) -> None:
    data = b"PUT /a HTTP/1.1\r\n%bContent-Length: 3\r\n\r\nabc" % UPGRADE
    data += CHUNKED.replace(b"Host: h\r\n", UPGRADE) + b"GET /b HTTP/1.1\r\n%b\r\n" % UPGRADE + ONE
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    reader, found = HttpReader(LIMITS), []
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
        found += drain(reader)
    assert [(one.method, one.path, one.body) for one in found] == [
        ("PUT", "/a", b"abc"), ("PUT", "/", b"abc"), ("GET", "/b", b""), ("POST", "/a", b"abc"),
    ]  # fmt: skip
    assert all(one.keep_alive and "upgrade" not in one.headers for one in found)


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_anything_is_read_or_refused(pieces: list[bytes]) -> None:
    reader = HttpReader(LIMITS)
    try:
        for piece in pieces:
            reader.feed(piece)
            drain(reader)
    except HttpError as error:
        assert 400 <= error.status < 600


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 201\r\n\r\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 255,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ),
        (b"GET /" + b"a" * 64, HTTPStatus.REQUEST_URI_TOO_LONG),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 512 + b"\r\nB: 1\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 10, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HTTPStatus.BAD_REQUEST,
        ),
        (CHUNKED.replace(b"chunked", b"gzip, chunked"), HTTPStatus.NOT_IMPLEMENTED),
        (b"GET / HTTP/1.1\nHost: a\n\n", HTTPStatus.BAD_REQUEST),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", HTTPStatus.NOT_IMPLEMENTED),
        (b"GET /x\r\n\r\n", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 700, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (CHUNKED[:-2] + b"Authorization: x\r\nB: 1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (CHUNKED[:-2] + b"A: " + b"a" * 700, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (LAST.replace(b"1.0", b"1.1") * (PIPELINED_MAX + 1), HTTPStatus.BAD_REQUEST),
    ],
)
def test_what_is_over_a_limit_or_means_two_things_is_refused(data: bytes, status: HTTPStatus) -> None:
    reader = HttpReader(LIMITS)
    for place in range(0, len(data), 50):
        reader.feed(data[place : place + 50])
    with pytest.raises(HttpError) as refused:
        drain(reader)
    assert refused.value.status == status
    reader.feed(ONE)
    with pytest.raises(HttpError):
        reader.next()


def test_a_client_that_waits_with_its_body_is_seen() -> None:
    reader = HttpReader(LIMITS)
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.awaits_continue and reader.next() is None
    reader.feed(b"ab")
    assert not reader.awaits_continue and drain(reader)[0].body == b"ab"
    reader.feed(b"POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert not reader.awaits_continue  # HTTP/1.0 has no such answer


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"host": "127.0.0.1:9"}, False),
        ({"host": "localhost"}, False),
        ({"host": "[::1]:9"}, False),
        ({"host": "10.0.0.1:9"}, False),
        ({"host": "evil.example:9"}, True),
        ({"host": "127.0.0.1.evil.example"}, True),
        ({}, True),
        ({"host": "127.0.0.1:9", "origin": "http://127.0.0.1:9"}, False),
        ({"host": "127.0.0.1:9", "origin": "https://evil.example"}, True),
        ({"host": "127.0.0.1:9", "origin": "null"}, True),
    ],
)
def test_web_pages_are_refused(headers: dict[str, str], refused: bool) -> None:
    assert bool(web_refusal(headers, "10.0.0.1")) == refused


def test_a_response_says_its_length_and_whether_the_connection_goes_on() -> None:
    data = encode_response(HTTPStatus.OK, {"X": "a\r\nb"}, b"{}", wall_s=0.5, keep_alive=False)
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"{}" and head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Content-Length: 2",
        b"X: a b",
        b"Connection: close",
    ]
