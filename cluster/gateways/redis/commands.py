"""All commands of the gateway by name, and those that it refuses by name with the reason."""

from cluster.gateways.redis.connection import CONNECTION
from cluster.gateways.redis.keyspace import KEYSPACE
from cluster.gateways.redis.pubsub import PUBSUB
from cluster.gateways.redis.refused import REFUSALS
from cluster.gateways.redis.server import CLUSTER, SERVER
from cluster.gateways.redis.sets import SETS
from cluster.gateways.redis.strings import STRINGS
from cluster.gateways.redis.table import RedisCommand

TABLES = (CONNECTION, STRINGS, SETS, KEYSPACE, PUBSUB, SERVER, CLUSTER)
COMMANDS: dict[str, RedisCommand] = {command.name: command for table in TABLES for command in table.commands}
"""Subcommands as `client|id`."""
CONTAINERS = frozenset(name.partition("|")[0] for name in COMMANDS if "|" in name)
"""Commands whose second word says what is meant."""
REFUSED: dict[str, str] = {name: refused.reason for refused in REFUSALS for name in refused.names}
"""Why a command is not offered."""

assert not REFUSED.keys() & COMMANDS.keys()
