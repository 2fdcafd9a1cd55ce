"""One node's Redis gateway: its commands and what its connections share. `listening` is what all gateways do."""

from cluster.env import Address
from cluster.gateways.host import GatewayHost, GatewayPorts
from cluster.gateways.listening import ListeningGateway
from cluster.gateways.redis.commands import COMMANDS, CONTAINERS, REFUSED
from cluster.gateways.redis.resp import ErrorReply
from cluster.gateways.redis.session import RedisSession
from cluster.gateways.redis.table import RedisCommand


class RedisGateway(ListeningGateway[RedisSession]):
    """See the module."""

    name = "redis"
    full = b"-ERR max number of clients reached\r\n"

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        super().__init__(host, ports)
        self.commands: dict[bytes, RedisCommand] = {
            spelling: command
            for command in COMMANDS.values()
            if "|" not in command.name and command.name not in CONTAINERS
            for spelling in (command.name.encode(), command.name.upper().encode())
        }
        """As they are mostly spelt; `find` has the others."""
        self.cursors: dict[int, str] = {}
        """Where a SCAN goes on, by the number that its client was given."""
        self.carried_out = 0
        """Commands since the boot; CONFIG RESETSTAT begins this, and `served`, anew."""
        self.offered = COMMANDS

    def make_session(self, number: int, peer: Address) -> RedisSession:
        """A connection was accepted."""
        return RedisSession(self, number, peer)

    # -- commands

    def find(self, words: list[bytes]) -> RedisCommand | None:
        """The command, or subcommand, that a request means, however it is spelt."""
        name = words[0].decode(errors="replace").lower()
        if name in CONTAINERS:
            if len(words) < 2:
                return COMMANDS.get(name)
            name = f"{name}|{words[1].decode(errors='replace').lower()}"
        return COMMANDS.get(name)

    def unknown(self, words: list[bytes]) -> ErrorReply:
        """Why a request that is none of the table's is refused."""
        name = words[0].decode(errors="backslashreplace")[:128]
        reason = REFUSED.get(name.lower())
        if reason is not None:
            return ErrorReply(f"ERR {name.upper()} is not offered here: {reason}")
        if name.lower() in CONTAINERS:
            if len(words) < 2:
                return ErrorReply(f"ERR wrong number of arguments for '{name.lower()}' command")
            what = words[1].decode(errors="backslashreplace")[:128]
            reason = REFUSED.get(f"{name.lower()}|{what.lower()}")
            if reason is not None:
                return ErrorReply(f"ERR {name.upper()} {what.upper()} is not offered here: {reason}")
            return ErrorReply(f"ERR unknown subcommand '{what}' of {name.upper()}")
        some = " ".join(repr(word[:32].decode(errors="backslashreplace")) for word in words[1:4])
        return ErrorReply(f"ERR unknown command '{name}', with args beginning with: {some}")
