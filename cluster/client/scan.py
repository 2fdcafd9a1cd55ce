"""One page of keys out of the pages of all nodes: each lists what it holds, so the union is what the cluster holds."""

from cluster.client.results import KeysResult
from cluster.errors import ClusterError
from cluster.wire.frames import Body
from cluster.wire.kv import KeysFound

KEYS_MAX = 1000
"""Keys in a page unless the caller says otherwise."""


def merge_pages(answers: dict[str, Body | ClusterError], limit: int) -> KeysResult:
    """The first `limit` keys. Raises the error of a node when none answered.

    A node that has more than it sent says nothing about keys behind its last one, so the page ends where the shortest
    such list ends.
    """
    pages = [answer for answer in answers.values() if isinstance(answer, KeysFound)]
    silent = [name for name, answer in answers.items() if not isinstance(answer, KeysFound)]
    if not pages:
        raise next(answer for answer in answers.values() if isinstance(answer, ClusterError))
    ends = [page.keys[-1] for page in pages if page.more and page.keys]
    keys = sorted({key for page in pages for key in page.keys})
    known = [key for key in keys if not ends or key <= min(ends)]
    return KeysResult(known[:limit], bool(ends) or len(known) > limit, silent)
