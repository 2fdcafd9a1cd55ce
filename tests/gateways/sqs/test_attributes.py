"""Attributes of messages and queues come back as they went in, and are refused as SQS refuses them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.chain.queue import Queue
from cluster.gateways.sqs.attributes import (
    AttributeValue,
    attributes_of,
    chosen,
    from_headers,
    md5_of,
    md5_of_attributes,
    options_of,
    to_headers,
    wanted,
)
from cluster.gateways.sqs.errors import SqsError

TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cn", "Cc", "Co")), min_size=1, max_size=20)
VALUES = st.one_of(
    st.builds(AttributeValue, st.sampled_from(["String", "String.some"]), TEXT),
    st.builds(AttributeValue, st.sampled_from(["Number", "Number.int"]), st.integers().map(str)),
    st.builds(AttributeValue, st.sampled_from(["Binary", "Binary.png"]), st.none(), st.binary(min_size=1, max_size=20)),
)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("sqs-")
)


@given(st.dictionaries(NAMES, VALUES, max_size=10))
def test_attributes_come_back(attributes: dict[str, AttributeValue]) -> None:
    assert from_headers(to_headers(attributes, {})) == attributes


def test_a_plain_string_is_a_plain_header_for_other_clients_and_theirs_is_one_here() -> None:
    assert to_headers({"kind": AttributeValue("String", "new")}, {}) == {"kind": "new"}
    assert from_headers({"a b": "", "sqs-type.x": "Binary", "x": "no base64!"}) == {
        "a b": AttributeValue("String", ""),
        "x": AttributeValue("String", "no base64!"),
    }


def test_the_md5_is_that_of_sqs() -> None:
    """As botocore's and boto's own tests have it."""
    one = {"timestamp": AttributeValue("Number", "1493147359900")}
    assert md5_of_attributes(one) == "235c5c510d26fb653d073faed50ae77c"
    blob = {"blob": AttributeValue("Binary", None, b"\x00\x01")}
    told = b"\0\0\0\4blob" + b"\0\0\0\6Binary" + b"\2" + b"\0\0\0\2\x00\x01"
    assert md5_of_attributes(blob) == md5_of(told)
    two = {
        "timestamp": AttributeValue("Number", "1493147359900"),
        "id": AttributeValue("String", "x"),
        **blob,
    }
    assert md5_of_attributes(two) == md5_of_attributes(dict(reversed(two.items()))) != md5_of_attributes(one)


@pytest.mark.parametrize(
    "attributes",
    [
        {"AWS.x": AttributeValue("String", "a")},
        {"sqs-type.x": AttributeValue("String", "a")},
        {"a..b": AttributeValue("String", "a")},
        {".a": AttributeValue("String", "a")},
        {"": AttributeValue("String", "a")},
        {"a": AttributeValue("Text", "a")},
        {"a": AttributeValue("String", "")},
        {"a": AttributeValue("String", None)},
        {"a": AttributeValue("Number", "1x")},
        {"a": AttributeValue("Binary", "x")},
        {str(number): AttributeValue("String", "a") for number in range(11)},
    ],
)
def test_attributes_that_sqs_refuses(attributes: dict[str, AttributeValue]) -> None:
    with pytest.raises(SqsError) as refused:
        to_headers(attributes, {})
    assert refused.value.code == "InvalidParameterValue"


def test_receivers_choose_attributes_by_name_by_prefix_or_all() -> None:
    there = {name: AttributeValue("String", "x") for name in ("a", "b.c", "b.d")}
    assert list(chosen(there, ["a"])) == ["a"] and list(chosen(there, ["b.*"])) == ["b.c", "b.d"]
    assert chosen(there, ["All"]) == chosen(there, [".*"]) == there and chosen(there, []) == {}


def test_options_of_a_queue_come_back() -> None:
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:eu:000000000000:dead","maxReceiveCount":"3"}'
    options = options_of(
        {"VisibilityTimeout": "60", "DelaySeconds": "5", "MessageRetentionPeriod": "120",
         "ReceiveMessageWaitTimeSeconds": "20", "RedrivePolicy": policy,
         "MaximumMessageSize": "1048576"}
    )  # fmt: skip
    assert options == {
        "visibility_s": 60.0, "delay_s": 5.0, "retention_s": 120.0, "wait_s": 20.0, "dead_letter": "dead",
        "max_receives": 3,
    }  # fmt: skip
    told = attributes_of("jobs", Queue(2, **options), "eu")
    assert options_of(
        {name: told[name] for name in ("VisibilityTimeout", "RedrivePolicy", "DelaySeconds")}
    ).items() <= (options.items())
    assert told["QueueArn"] == "arn:aws:sqs:eu:000000000000:jobs"
    assert options_of({"RedrivePolicy": ""}) == {"dead_letter": "", "max_receives": 0}
    assert (
        wanted(["VisibilityTimeout", "Policy"], told) == {"VisibilityTimeout": "60"} and wanted(["All"], told) == told
    )
    with pytest.raises(SqsError, match="no attribute 'Fly'"):
        wanted(["Fly"], told)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("VisibilityTimeout", "-1", "InvalidAttributeValue"),
        ("DelaySeconds", "x", "InvalidAttributeValue"),
        ("DelaySeconds", "9" * 5000, "InvalidAttributeValue"),
        ("RedrivePolicy", "{", "InvalidAttributeValue"),
        ("RedrivePolicy", '{"a":' * 100_000, "InvalidAttributeValue"),
        ("RedrivePolicy", '{"maxReceiveCount":3}', "InvalidAttributeValue"),
        ("ReceiveMessageWaitTimeSeconds", "21", "InvalidAttributeValue"),
        ("FifoQueue", "true", "InvalidAttributeName"),
        ("Fly", "1", "InvalidAttributeName"),
    ],
)
def test_options_that_cannot_be_set(name: str, value: str, code: str) -> None:
    with pytest.raises(SqsError) as refused:
        options_of({name: value})
    assert refused.value.code == code
