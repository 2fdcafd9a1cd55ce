"""Bytes to commands, however they are cut; limits; headers both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateways.nats.protocol import (
    HEADER_BLOCK_BYTES_MAX,
    LINE_BYTES_MAX,
    Command,
    CommandReader,
    Connect,
    NatsError,
    PingCommand,
    PongCommand,
    Pub,
    Sub,
    Unsub,
    encode_headers,
    encode_message,
    parse_headers,
)
from cluster.limits import VALUE_BYTES_MAX

SESSION = (
    b'CONNECT {"verbose":false,"auth_token":"s3","headers":true,"lang":"python","new":1}\r\n'
    b"PING\r\nSUB a.*  1\r\nSUB a.> crew 2\r\nsub b 3\r\nUNSUB 1 5\r\nUNSUB 2 \r\n\r\n"
    b"PUB a.b  5\r\nhello\r\nPUB a _INBOX.1 0\r\n\r\nHPUB a b 18 21\r\nNATS/1.0\r\nk: v\r\n\r\nxyz\r\n"
    b"+OK\r\nPONG\r\n"
)
COMMANDS: list[Command] = [
    Connect(auth_token="s3", headers=True, lang="python"),
    PingCommand(),
    Sub("a.*", "", "1"),
    Sub("a.>", "crew", "2"),
    Sub("b", "", "3"),
    Unsub("1", 5),
    Unsub("2", 0),
    Pub("a.b", "", b"", b"hello"),
    Pub("a", "_INBOX.1", b"", b""),
    Pub("a", "b", b"NATS/1.0\r\nk: v\r\n\r\n", b"xyz"),
    PongCommand(),
]


def read(data: bytes, *cuts: int, proven: bool = True) -> list[Command]:
    reader, found = CommandReader(), list[Command]()
    reader.proven = proven
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        reader.feed(data[start:end])
        while (command := reader.next()) is not None:
            found.append(command)
    return found


def test_a_session_is_read() -> None:
    assert read(SESSION) == COMMANDS


@given(st.lists(st.integers(0, len(SESSION)), max_size=6).map(sorted))
def test_it_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    assert read(SESSION, *cuts) == read(SESSION)


@given(st.binary(max_size=200))
def test_garbage_ends_in_an_error_of_the_protocol_or_waits(data: bytes) -> None:
    try:
        read(data)
    except NatsError:
        pass


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"POST / HTTP/1.1\r\n", "Unknown Protocol Operation"),
        (b"PUB a\r\n", "Parser Error"),
        (b"PUB a x\r\n", "Parser Error"),
        (b"PUB a -1\r\n", "Parser Error"),
        (b"PUB a 1\r\nxyz", "Parser Error"),
        (b"HPUB a 9 3\r\n", "Parser Error"),
        (b"SUB a\r\n", "Parser Error"),
        (b"SUB \xff 1\r\n", "Parser Error"),
        (b"UNSUB\r\n", "Parser Error"),
        (b"CONNECT {\r\n", "Parser Error"),
        (b'CONNECT {"a":' + b"[" * 4000 + b"\r\n", "Parser Error"),
        (b"PUB a %d\r\n" % (VALUE_BYTES_MAX + 1), "Maximum Payload Violation"),
        (b"PUB a 9999999999\r\n", "Parser Error"),
        (b"HPUB a %d %d\r\n" % (HEADER_BLOCK_BYTES_MAX + 1, HEADER_BLOCK_BYTES_MAX + 1), "Maximum Payload Violation"),
        (b"PUB " + b"a" * LINE_BYTES_MAX, "Maximum Control Line Exceeded"),
        (b"PUB " + b"a" * LINE_BYTES_MAX + b" 1\r\n", "Maximum Control Line Exceeded"),
    ],
)
def test_what_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(NatsError, match=says):
        read(data)


def test_no_payload_is_taken_before_the_password() -> None:
    with pytest.raises(NatsError, match="Authorization Violation"):
        read(b"PUB a 100000\r\n", proven=False)


def test_the_longest_payload_and_headers_are_taken() -> None:
    head = encode_headers({"k": "v"})
    data = b"HPUB a %d %d\r\n%b%b\r\n" % (len(head), len(head) + VALUE_BYTES_MAX, head, bytes(VALUE_BYTES_MAX))
    assert read(data, 100, 50_000) == [Pub("a", "", head, bytes(VALUE_BYTES_MAX))]


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=9)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9)


@given(st.dictionaries(names, values, max_size=5))
def test_headers_survive_their_encoding(headers: dict[str, str]) -> None:
    assert parse_headers(encode_headers(headers)) == headers


def test_values_of_one_name_are_below_each_other() -> None:
    block = b"NATS/1.0\r\nA: 1\r\nB:x:y \r\nA: 2\r\n\r\n"
    assert parse_headers(block) == {"A": "1\n2", "B": "x:y"}
    assert encode_headers({"A": "1\n2", "": "no", "b:c": "no", "d\r": "no"}) == b"NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n"


@given(st.text(max_size=20), st.text(max_size=40))
def test_no_header_breaks_out_of_its_block(name: str, value: str) -> None:
    block = encode_headers({name: value})
    assert block.endswith(b"\r\n\r\n") and b"\r\n\r\n" not in block[:-4]
    assert all(line.count(b"\n") == 0 for line in block.split(b"\r\n"))


@pytest.mark.parametrize("block", [b"", b"HTTP/1.0\r\n\r\n", b"NATS/1.0\r\nA 1\r\n\r\n", b"NATS/1.0\r\nA: 1\r\n"])
def test_what_is_no_block_of_headers(block: bytes) -> None:
    with pytest.raises(NatsError):
        parse_headers(block)


def test_messages_as_clients_read_them() -> None:
    assert encode_message("a.b", "1", "", b"", b"hello") == b"MSG a.b 1 5\r\nhello\r\n"
    assert encode_message("a", "1", "r", b"", b"") == b"MSG a 1 r 0\r\n\r\n"
    assert encode_message("a", "1", "r", b"NATS/1.0\r\n\r\n", b"x") == b"HMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\n"
