"""The buckets as this node has taken them over, asked by key at the time of use."""

from collections.abc import Mapping

from cluster.chain.bucket import DEFAULT, Bucket, bucket_name


class Buckets:
    """What the last entry of the chain defines."""

    def __init__(self, defined: Mapping[str, Bucket]) -> None:
        self.defined = defined

    def adopt(self, defined: Mapping[str, Bucket]) -> None:
        """Go on by these."""
        self.defined = defined

    def of(self, key: str) -> Bucket:
        """What holds for a key. Costs an attribute where nothing is defined: each operation asks."""
        return self.defined.get(bucket_name(key, self.defined), DEFAULT) if self.defined else DEFAULT
