"""How the calls of a service are shared by its versions, as an entry of the chain defines it. Pure.

In percent. A version without a weight shares what is left with the others that have none, by their endpoints; a service
without any weight is used evenly by endpoint, whatever the versions. A definition raises no layout number.
"""

from collections.abc import Mapping
from typing import Final

from cluster.errors import Usage
from cluster.limits import NAME_BYTES_MAX

WEIGHED_MAX: Final = 256
"""Services with weights."""
VERSIONS_MAX: Final = 16
"""Weights of one service."""

Weights = dict[str, dict[int, float]]
"""By service, in the order of the names; then by version, in the order of the numbers."""


def check_weights(weights: Mapping[str, Mapping[int, float]]) -> None:
    """Raise Usage for weights that cannot be."""
    if len(weights) > WEIGHED_MAX:
        raise Usage(f"at most {WEIGHED_MAX} services have weights")
    for service, shares in weights.items():
        if not 0 < len(service.encode()) <= NAME_BYTES_MAX:
            raise Usage(f"the name of a service has 1 to {NAME_BYTES_MAX} bytes")
        if not 0 < len(shares) <= VERSIONS_MAX:
            raise Usage(f"at most {VERSIONS_MAX} versions of service {service} have weights")
        for version, share in shares.items():
            if version < 1:
                raise Usage(f"the version of a service is 1 or more, not {version}")
            if not 0.0 <= share <= 100.0:
                raise Usage(f"the weight of version {version} of {service} is {share:g}%; it is from 0% to 100%")
        if sum(shares.values()) > 100.0 + 1e-6:
            raise Usage(f"the weights of {service} are {sum(shares.values()):g}% together; they are at most 100%")
