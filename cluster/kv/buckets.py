"""The buckets as this node has taken them over, asked by key at the time of use."""

from collections.abc import Mapping

from cluster.chain.bucket import DEFAULT, LWW, Bucket
from cluster.versions import BASE, Generation


class Buckets:
    """What the last entry of the chain defines."""

    def __init__(self, defined: Mapping[str, Bucket]) -> None:
        self.defined = defined

    def adopt(self, defined: Mapping[str, Bucket]) -> None:
        """Go on by these."""
        self.defined = defined

    def of(self, key: str) -> Bucket:
        """What holds for a key. Costs an attribute where nothing is defined: each operation asks."""
        if not self.defined:
            return DEFAULT
        name, slash, _ = key.partition("/")
        return self.defined.get(name, DEFAULT) if slash else DEFAULT

    def base_of(self, key: str) -> Generation:
        """The generation in which a key's cell begins: one below it is over."""
        return self.of(key).base if self.defined else BASE

    @property
    def any_lww(self) -> bool:
        """Whether any write is stamped that is compared with others by its stamp."""
        return any(bucket.resolver == LWW for bucket in self.defined.values())
