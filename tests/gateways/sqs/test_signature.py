"""Signatures of AWS's own library and of its documentation are taken, and nothing that was changed since."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.gateways.http1 import HttpRequest
from cluster.gateways.sqs.signature import BadSignature, Verifier
from tests.gateways.sqs.requesting import signed


def request(**changes: object) -> HttpRequest:
    headers = {"host": "127.0.0.1:9", "x-amz-target": "AmazonSQS.ListQueues"}
    return replace(HttpRequest("POST", "/", headers, b"{}", True), **changes)  # type: ignore[arg-type]


def refused(request: HttpRequest, password: str = "secret") -> str:
    with pytest.raises(BadSignature) as error:
        Verifier(password, "sqs").check(request)
    return error.value.code


def test_the_example_of_the_documentation() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html has one; this is that of the test
    suite of AWS, get-vanilla-query-order-key-case."""
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    )
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z", "authorization": authorization}
    asked = HttpRequest("GET", "/?Param2=value2&Param1=value1", headers, b"", True)
    signer = Verifier("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "service").check(asked)
    assert (signer.access_key, signer.region) == ("AKIDEXAMPLE", "us-east-1")


@given(
    st.binary(max_size=50),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    st.lists(st.tuples(st.text("ab%+ é", max_size=3), st.text("ab&= é", max_size=3)), max_size=3),
)
def test_the_signature_of_botocore(body: bytes, header: str, query: list[tuple[str, str]]) -> None:
    pytest.importorskip("botocore")
    from urllib.parse import urlencode

    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = "http://127.0.0.1:9/" + (f"?{urlencode(query)}" if query else "")
    theirs = AWSRequest("POST", url, headers={"X-Some": header, "Content-Type": "text/plain"}, data=body)
    SigV4Auth(Credentials("me", "secret"), "sqs", "eu-west-1").add_auth(theirs)
    prepared = theirs.prepare()
    headers = {name.lower(): str(value).strip() for name, value in theirs.headers.items()}
    ours = HttpRequest(
        "POST", prepared.url.removeprefix("http://127.0.0.1:9"), {"host": "127.0.0.1:9", **headers}, body, True
    )
    assert Verifier("secret", "sqs").check(ours).region == "eu-west-1"


def test_what_was_changed_since_is_refused() -> None:
    good = signed(request(), "secret")
    verifier = Verifier("secret", "sqs")
    assert verifier.check(good).access_key == "me"
    for changed in (
        replace(good, body=b"{ }"),
        replace(good, method="PUT"),
        replace(good, target="/x"),
        replace(good, target="/?a=1"),
        replace(good, headers={**good.headers, "x-amz-target": "AmazonSQS.DeleteQueue"}),
        replace(good, headers={**good.headers, "host": "127.0.0.1:10"}),
    ):
        assert refused(changed) == "SignatureDoesNotMatch"
    assert refused(good, "other") == "SignatureDoesNotMatch"


def test_what_is_not_signed_as_it_should_be_is_refused() -> None:
    assert refused(request()) == "MissingAuthenticationToken"
    assert refused(request(headers={"host": "a", "authorization": "Basic abc"})) == "IncompleteSignature"
    assert refused(signed(request(), "secret", "s3")) == "IncompleteSignature"
    good = signed(request(), "secret")
    without = {name: value for name, value in good.headers.items() if name != "x-amz-target"}
    assert refused(replace(good, headers=without)) == "IncompleteSignature", "a header that is signed, and not sent"
    other_day = {**good.headers, "x-amz-date": "20260302T120000Z"}
    assert refused(replace(good, headers=other_day)) == "IncompleteSignature"
    hostless = signed(request(headers={"x-a": "1"}), "secret")
    assert refused(hostless) == "IncompleteSignature"
