"""The asyncio client: `async with cluster.connect("default") as c`. Runs under asyncio and under uvloop.

A client is a session: it remembers the contexts of the keys it read and wrote.
"""

from cluster.client.aio_admin import Admin
from cluster.client.aio_kv import Kv
from cluster.client.aio_requests import Requests
from cluster.client.aio_session import AioSession
from cluster.client.aio_topics import Topics
from cluster.client.locate import Address, Location, find
from cluster.config import CLIENT_TIMEOUT_S


def connect(
    target: str | list[str] | list[Address] = "default",
    *,
    secret: bytes | None = None,
    cluster: str | None = None,
    via: str | None = None,
    timeout: float = CLIENT_TIMEOUT_S,
    seed: int | None = None,
) -> "Client":
    """A client of the cluster called `target`, or of the nodes at some addresses (with `secret`, and the cluster's name
    when it is not `default`); enter it with `async with`. `via`: talk to this node only. `timeout` in seconds bounds
    each operation; `seed` fixes which owner is asked first. Raises UnknownCluster, Damaged or Usage.
    """
    return Client(find(target, secret, cluster), via, timeout, seed)


class Client(AioSession):
    """A session with one cluster. Entering it raises Unreachable, HandshakeRefused, or NotFound for a wrong `via`."""

    def __init__(
        self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S, seed: int | None = None
    ) -> None:
        super().__init__(location, via, timeout, seed)
        self.kv = Kv(self)
        self.topics = Topics(self)
        self.requests = Requests(self)
        self.admin = Admin(self)
