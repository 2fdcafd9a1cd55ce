"""A Redis client in virtual time: what it sends, and the replies read back."""

from typing import Any

from cluster.env import Link
from cluster.simulation.fleet import GATEWAY_PORT, SECRET, Fleet
from cluster.wire.rights import gateway_password

PASSWORD = gateway_password(SECRET)


class RedisError(Exception):
    """An error reply."""


class SimulatedRedis:
    """A connection to one node's gateway."""

    def __init__(self, fleet: Fleet, node: str, *, name: str = "redis", prove: bool = True) -> None:
        self.fleet = fleet
        self.link: Link | None = None
        self.ended = ""
        self.reads = True
        self._data = b""
        self.replies: list[Any] = []
        host = fleet.nodes[node].member.host
        env = fleet.world.env(name)
        env.clock.call_soon(lambda: env.network.dial((host, GATEWAY_PORT), self, timeout=5.0))
        fleet.until(lambda: self.link is not None or bool(self.ended))
        self._env = env
        if prove:
            assert self.ask("AUTH", PASSWORD) == "OK"

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        self._data += data
        while self._data:
            try:
                value, end = parse(self._data, 0)
            except IndexError:
                return
            self.replies.append(value)
            self._data = self._data[end:]

    def lost(self, reason: str) -> None:
        self.ended = reason

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def send(self, *requests: list[Any]) -> None:
        """Send a pipeline."""
        data = b"".join(request(*words) for words in requests)
        self.raw(data)

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        assert self.link is not None
        self._env.clock.call_soon(self.link.write, data)

    def take(self, count: int = 1, timeout: float = 5.0) -> list[Any]:
        """The next replies."""
        self.fleet.until(lambda: len(self.replies) >= count, timeout)
        taken, self.replies = self.replies[:count], self.replies[count:]
        return taken

    def ask(self, *words: Any, timeout: float = 5.0) -> Any:
        """One command and its reply."""
        self.send(list(words))
        return self.take(1, timeout)[0]

    def closed(self) -> str:
        """How the node ended it."""
        self.fleet.until(lambda: bool(self.ended))
        return self.ended


def request(*words: Any) -> bytes:
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def parse(data: bytes, at: int) -> tuple[Any, int]:
    """A reply and where it ends; IndexError while it is not whole. Errors are values, text is text."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    kind, line, end = data[at : at + 1], data[at + 1 : end], end + 2
    match kind:
        case b"+":
            return line.decode(), end
        case b"-":
            return RedisError(line.decode()), end
        case b":":
            return int(line), end
        case b"_":
            return None, end
        case b"#":
            return line == b"t", end
        case b"$":
            size = int(line)
            if size < 0:
                return None, end
            if len(data) < end + size + 2:
                raise IndexError
            return data[end : end + size].decode("latin-1"), end + size + 2
        case b"*" | b">" | b"~" | b"%":
            items = []
            for _ in range(int(line) * (2 if kind == b"%" else 1)):
                item, end = parse(data, end)
                items.append(item)
            if kind == b"%":
                return dict(zip(items[::2], items[1::2], strict=True)), end
            return set(items) if kind == b"~" else items, end
    raise AssertionError(f"no reply: {data[at : at + 40]!r}")
