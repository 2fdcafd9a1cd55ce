"""AWS Signature Version 4 as the server sees it: whether a request was signed with the password. Pure.

The access key may be anything, the secret key is the password of the gateways. The signature covers the method, the
target, the headers that it names, `Host` among them, and the whole body. Times are not compared: a node's clock may be
wrong on purpose here, and whoever can repeat what was sent between two programs of this machine owns it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from cluster.gateways.http1 import HttpRequest

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} +Credential=([^/,\s]+)/(\d{{8}})/([A-Za-z0-9-]{{1,64}})/([a-z0-9]{{1,32}})/aws4_request, *"
    r"SignedHeaders=([a-z0-9;_-]{1,1024}), *Signature=([0-9a-f]{64})"
)
KEYS_MAX: Final = 16
"""Signing keys that are remembered: one a day and region, as long as clients agree about them."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the request says; proven."""

    access_key: str
    region: str


class BadSignature(Exception):
    """Why a request is not taken; `code` as AWS names it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Verifier:
    """Checks requests against one password."""

    def __init__(self, password: str, service: str) -> None:
        self._secret = f"AWS4{password}".encode()
        self._service = service
        self._keys: dict[tuple[str, str], bytes] = {}

    def check(self, request: HttpRequest) -> Signer:
        """Who signed it. Raises BadSignature."""
        header = request.headers.get("authorization")
        if header is None:
            raise BadSignature("MissingAuthenticationToken", "the request is not signed: `dsectl env` prints the keys")
        found = _AUTHORIZATION.fullmatch(header)
        if found is None:
            raise BadSignature("IncompleteSignature", f"the Authorization header is none of {ALGORITHM}")
        access_key, date, region, service, names, signature = found.groups()
        time = request.headers.get("x-amz-date", "")
        if service != self._service or not time.startswith(date):
            raise BadSignature(
                "IncompleteSignature", f"the request is signed for {service!r} on {date}, not for {self._service} on"
                f" {time[:8] or 'the day that X-Amz-Date names'}"
            )  # fmt: skip
        signed = names.split(";")
        if "host" not in signed or any(name not in request.headers for name in signed):
            raise BadSignature("IncompleteSignature", "the signature has to cover Host, and headers that were sent")
        text = f"{ALGORITHM}\n{time}\n{date}/{region}/{service}/aws4_request\n{_digest(canonical(request, signed))}"
        expected = hmac.new(self._key(date, region), text.encode(), sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise BadSignature(
                "SignatureDoesNotMatch", "the request was signed with another secret key than `dsectl env` prints"
            )
        return Signer(access_key, region)

    def _key(self, date: str, region: str) -> bytes:
        key = self._keys.get((date, region))
        if key is None:
            key = self._secret
            for part in (date, region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= KEYS_MAX:
                del self._keys[next(iter(self._keys))]
            self._keys[date, region] = key
        return key


def canonical(request: HttpRequest, signed: list[str]) -> bytes:
    """What is signed of a request."""
    pairs = sorted(part.partition("=") for part in request.query.split("&") if part)
    query = "&".join(f"{name}={value}" for name, _, value in pairs)  # as it was sent: its client has encoded it
    headers = [f"{name}:{' '.join(request.headers[name].split())}" for name in signed]
    path = quote(request.path, safe="/-_.~%") or "/"
    lines = [request.method, path, query, *headers, "", ";".join(signed), sha256(request.body).hexdigest()]
    return "\n".join(lines).encode()


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
