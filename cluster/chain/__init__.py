"""The control chain: numbered entries that say who the members are, each decided by a ballot among those before.

`chain` is a node's part in it; only the entries are loaded by whoever reads them from the disk.
"""

from cluster.chain.entry import ChainEntry, decode_chain, encode_chain, genesis

__all__ = ["ChainEntry", "decode_chain", "encode_chain", "genesis"]
