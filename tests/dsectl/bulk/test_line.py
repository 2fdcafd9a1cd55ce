"""Keys as lines of JSON: there and back, and what is refused."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import TooLarge, Usage
from cluster.limits import ITEMS_MAX, KEY_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX
from dsectl.bulk.line import COUNTER, SET, TAIL_BYTES, VALUE, cut_after_last, format_line, parse_line

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


@given(KEYS, st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.sampled_from([VALUE, SET]))
def test_a_key_comes_back_as_it_was(key: str, values: list[bytes], kind: str) -> None:
    line = format_line(key, values, kind)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    parsed = parse_line(7, line)
    assert (parsed.number, parsed.key, parsed.kind, parsed.values) == (7, key, kind, values)


@given(KEYS, st.integers(-(2**63) + 1, 2**63 - 1))
def test_so_does_a_counter(key: str, number: int) -> None:
    parsed = parse_line(1, format_line(key, [b"%d" % number], COUNTER))
    assert (parsed.key, parsed.kind, parsed.values) == (key, COUNTER, [b"%d" % number])


@pytest.mark.parametrize(
    ("line", "key", "values"),
    [
        (b'{"key":"cart","value":"book"}', "cart", [b"book"]),
        (b'{"key":"cart","siblings":["book",{"base64":"/wA="}]}', "cart", [b"book", b"\xff\x00"]),
        (b'{"key":"cart","value":"","siblings":[""],"context":"x","ms":1.5}', "cart", [b""]),
        (b'{"key":"visitors","number":-34}', "visitors", [b"-34"]),
        (b'{"key":"visitors","value":"34","siblings":["34"],"kind":"counter"}', "visitors", [b"34"]),
        (b'{"key":"basket","items":["ink",{"base64":"/w=="}]}', "basket", [b"ink", b"\xff"]),
        (b'\xef\xbb\xbf{"key":"cart","value":"book"}\r', "cart", [b"book"]),
        (b'  {"value": null, "siblings": ["a", "b"], "key": "k"}\r', "k", [b"a", b"b"]),
    ],
)
def test_what_is_a_line(line: bytes, key: str, values: list[bytes]) -> None:
    parsed = parse_line(1, line)
    assert (parsed.key, parsed.values) == (key, values)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"cart book", "not JSON"),
        (b'{"key":"cart","value":"book"', "not JSON"),
        (b'{"key":"\xff","value":"book"}', "not JSON"),
        (b'["cart","book"]', "expected `object`"),
        (b'{"value":"book"}', "required field `key`"),
        (b'{"key":1,"value":"book"}', "$.key"),
        (b'{"key":"cart","value":3}', "$.value"),
        (b'{"key":"cart","value":{"hex":"ff"}}', "$.value"),
        (b'{"key":"cart"}', "one of `value`, `siblings`"),
        (b'{"key":"cart","siblings":[]}', "one of `value`, `siblings`"),
        (b'{"key":"cart","value":"a","siblings":["a","b"]}', "one of `value`, `siblings`"),
        (b'{"key":"visitors","number":9223372036854775808}', "64 bits"),
        (b'{"key":"visitors","value":"-9223372036854775808","kind":"counter"}', "64 bits"),
        (b'{"key":"","value":"a"}', "at least one character"),
        (b'{"key":"cart","value":{"base64":"!"}}', "not base64"),
        (b'{"key":"cart","value":{"base64":"\xc3\xa9"}}', "not base64"),
    ],
)
def test_what_is_no_line(line: bytes, words: str) -> None:
    with pytest.raises(Usage, match=words.replace("$", r"\$").replace(".", r"\.")):
        parse_line(1, line)


def test_limits() -> None:
    for line in (
        format_line("k" * (KEY_BYTES_MAX + 1), [b""]),
        format_line("k", [b"v" * (VALUE_BYTES_MAX + 1)]),
        format_line("k", [b"v"] * (SIBLINGS_MAX + 1)),
        format_line("k", [b"v"] * (ITEMS_MAX + 1), SET),
        None,
    ):
        with pytest.raises(TooLarge):
            parse_line(1, line)


@pytest.mark.parametrize("size", [1, TAIL_BYTES, 3 * TAIL_BYTES])
@pytest.mark.parametrize("torn", [b"", b'{"key":"c', b"x" * (2 * TAIL_BYTES)])
def test_a_file_goes_on_behind_its_last_whole_line(size: int, torn: bytes) -> None:
    whole = format_line("a", [b"v" * size]) + format_line("b", [b"v" * size])
    file = io.BytesIO(whole + torn)
    assert cut_after_last(file) == "b"
    file.write(b"next")
    assert file.getvalue() == whole + b"next"


def test_a_file_without_a_whole_line_begins_anew() -> None:
    for torn in (b"", b'{"key":"c'):
        file = io.BytesIO(torn)
        assert cut_after_last(file) == ""
        assert file.getvalue() == b""


def test_what_is_no_export_is_not_cut() -> None:
    file = io.BytesIO(b"a letter\nto somebody")
    with pytest.raises(Usage):
        cut_after_last(file)
    assert file.getvalue() == b"a letter\nto somebody"
