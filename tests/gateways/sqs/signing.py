"""Signs requests as AWS's own library does, for tests that have no such library."""

import hmac
from hashlib import sha256

from cluster.gateways.http1 import HttpRequest
from cluster.gateways.sqs.signature import canonical

DAY, TIME, REGION = "20260301", "20260301T120000Z", "us-east-1"


def signed(request: HttpRequest, secret: str, service: str = "sqs") -> HttpRequest:
    """The request with the headers of a signature."""
    request.headers["x-amz-date"] = TIME
    names = sorted(request.headers)
    scope = f"{DAY}/{REGION}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{TIME}\n{scope}\n{sha256(canonical(request, names)).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (DAY, REGION, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.new(key, text.encode(), sha256).hexdigest()
    request.headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=me/{scope}, SignedHeaders={';'.join(names)}, Signature={proof}"
    )
    return request
