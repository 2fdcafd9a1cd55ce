"""Commands about the server: what it is, what it offers, where the others are."""

from binascii import crc_hqx
from hashlib import sha1

from cluster.gateways.redis.connection import VERSION
from cluster.gateways.redis.glob import compile_glob
from cluster.gateways.redis.resp import Reply, Simple
from cluster.gateways.redis.session import RedisCall
from cluster.gateways.redis.table import CommandTable, RedisCommand
from cluster.limits import VALUE_BYTES_MAX

SERVER, CLUSTER = CommandTable("server"), CommandTable("cluster")
SLOTS = 16_384
CONFIG: dict[str, str] = {
    "appendonly": "yes",
    "bind": "127.0.0.1",
    "databases": "1",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "notify-keyspace-events": "",
    "proto-max-bulk-len": str(VALUE_BYTES_MAX),
    "save": "",
    "timeout": "0",
}
"""What clients and benchmarks ask for; dsectl's own settings are those of `up`."""


@SERVER.add("time", 1, "Unix time by this node's clock: seconds, microseconds.", flags="fast", any_time=True)
def time(call: RedisCall) -> None:
    """TIME."""
    seconds, micros = divmod(int(call.session.gateway.host.clock.wall() * 1_000_000), 1_000_000)
    call.reply([str(seconds), str(micros)])


@SERVER.add("config|get", -3, "Settings, as Redis names them.", limits="A few that clients ask for; none can be set.")
def config_get(call: RedisCall) -> None:
    """CONFIG GET pattern…."""
    meant = [compile_glob(word.decode(errors="replace").lower()) for word in call.words[2:]]
    call.reply({name: value for name, value in CONFIG.items() if any(glob.fullmatch(name) for glob in meant)})


@SERVER.add("config|resetstat", 2, "Lets the counts of INFO begin anew.", limits="Of the node that is asked.")
def config_resetstat(call: RedisCall) -> None:
    """CONFIG RESETSTAT."""
    call.session.gateway.served = call.session.gateway.carried_out = 0
    call.ok()


@SERVER.add("info", -1, "What this node is and has, as lines of `name:value`.", limits="Of the node that is asked.")
def info(call: RedisCall) -> None:
    """INFO [section…]."""
    gateway = call.session.gateway
    host = gateway.host
    clients = len(gateway.sessions)
    listening = sum(bool(session.subscribed) for session in gateway.sessions)
    sections: dict[str, dict[str, object]] = {
        "Server": {
            "redis_version": VERSION,
            "redis_mode": "standalone",
            "arch_bits": 64,
            "server_name": "dsectl",
            "dsectl_cluster": host.cluster,
            "dsectl_node": host.node,
            "run_id": _node_id(host.id),
            "tcp_port": gateway.ports.port,
            "uptime_in_seconds": int(host.clock.now() - gateway.began),
        },
        "Clients": {"connected_clients": clients, "pubsub_clients": listening, "blocked_clients": 0},
        "Persistence": {"loading": 0, "aof_enabled": 1},
        "Stats": {
            "total_connections_received": gateway.served,
            "total_commands_processed": gateway.carried_out,
        },
        "Replication": {"role": "master", "connected_slaves": 0},
        "Cluster": {"cluster_enabled": 0},
        "Keyspace": {},
    }
    wanted = {word.lower().decode(errors="replace") for word in call.words[1:]} - {"all", "default", "everything"}
    parts = [
        f"# {title}\r\n" + "".join(f"{name}:{value}\r\n" for name, value in fields.items())
        for title, fields in sections.items()
        if not wanted or title.lower() in wanted
    ]
    call.reply("\r\n".join(parts))


@SERVER.add("command", -1, "All commands: name, words, flags, keys.", any_time=True)
def command(call: RedisCall) -> None:
    """COMMAND."""
    call.reply([_row(one) for one in call.session.gateway.offered.values()])


@SERVER.add("command|count", 2, "How many commands there are.", any_time=True)
def command_count(call: RedisCall) -> None:
    """COMMAND COUNT."""
    call.reply(len(call.session.gateway.offered))


@SERVER.add("command|list", 2, "The names of all commands.", any_time=True)
def command_list(call: RedisCall) -> None:
    """COMMAND LIST."""
    call.reply([one.name for one in call.session.gateway.offered.values()])


@SERVER.add("command|info", -2, "As COMMAND, of some.", any_time=True)
def command_info(call: RedisCall) -> None:
    """COMMAND INFO [name…]."""
    offered = call.session.gateway.offered
    names = [word.lower().decode(errors="replace") for word in call.words[2:]] or list(offered)
    call.reply([_row(offered[name]) if name in offered else None for name in names])


@SERVER.add("command|docs", -2, "A line about each command, and what is other here than in Redis.", any_time=True)
def command_docs(call: RedisCall) -> None:
    """COMMAND DOCS [name…]."""
    offered = call.session.gateway.offered
    names = [word.lower().decode(errors="replace") for word in call.words[2:]] or list(offered)
    call.reply({name: _docs(offered[name]) for name in names if name in offered})


@SERVER.add("command|getkeys", -3, "The keys of a command.", any_time=True)
def command_getkeys(call: RedisCall) -> None:
    """COMMAND GETKEYS command [arg…]."""
    words = call.words[2:]
    meant = call.session.gateway.find(words)
    if meant is None:
        call.fail("ERR Invalid command specified")
    elif not meant.accepts(len(words)):
        call.fail("ERR Invalid number of arguments specified for command")
    elif not meant.keys_of(words):
        call.fail("ERR The command has no key arguments")
    else:
        call.reply(meant.keys_of(words))


@CLUSTER.add("cluster|slots", 2, "Which node serves which slots: a share each, though any serves all.", any_time=True)
def cluster_slots(call: RedisCall) -> None:
    """CLUSTER SLOTS."""
    call.reply([[first, last, [host, port, _node_id(name)]] for name, host, port, first, last in _shares(call)])


@CLUSTER.add("cluster|nodes", 2, "A line about each node.", any_time=True)
def cluster_nodes(call: RedisCall) -> None:
    """CLUSTER NODES."""
    me = call.session.gateway.host.node
    lines = [
        f"{_node_id(name)} {host}:{port}@{port} {'myself,' * (name == me)}master - 0 0 1 connected {first}-{last}"
        for name, host, port, first, last in _shares(call)
    ]
    call.reply("".join(line + "\n" for line in lines))


@CLUSTER.add("cluster|shards", 2, "As CLUSTER SLOTS, in fields.", any_time=True)
def cluster_shards(call: RedisCall) -> None:
    """CLUSTER SHARDS."""
    call.reply(
        [
            {
                "slots": [first, last],
                "nodes": [
                    {
                        "id": _node_id(name),
                        "port": port,
                        "ip": host,
                        "endpoint": host,
                        "role": "master",
                        "replication-offset": 0,
                        "health": "online",
                    }
                ],
            }
            for name, host, port, first, last in _shares(call)
        ]
    )


@CLUSTER.add("cluster|info", 2, "A few lines about the cluster.", any_time=True)
def cluster_info(call: RedisCall) -> None:
    """CLUSTER INFO."""
    nodes = len(call.session.gateway.peers())
    lines = {
        "cluster_state": "ok",
        "cluster_slots_assigned": SLOTS,
        "cluster_slots_ok": SLOTS,
        "cluster_known_nodes": nodes,
        "cluster_size": nodes,
    }
    call.reply("".join(f"{name}:{value}\r\n" for name, value in lines.items()))


@CLUSTER.add("cluster|myid", 2, "The id of this node in CLUSTER NODES.", any_time=True)
def cluster_myid(call: RedisCall) -> None:
    """CLUSTER MYID."""
    call.reply(_node_id(call.session.gateway.host.node))


@CLUSTER.add("cluster|keyslot", 3, "The slot of a key.", any_time=True)
def cluster_keyslot(call: RedisCall) -> None:
    """CLUSTER KEYSLOT key."""
    key = call.words[2]
    opened = key.find(b"{")
    closed = key.find(b"}", opened + 1)
    if opened >= 0 and closed > opened + 1:
        key = key[opened + 1 : closed]
    call.reply(crc_hqx(key, 0) % SLOTS)


@CLUSTER.add("readonly", 1, "Accepted: every node reads.", flags="fast", any_time=True)
@CLUSTER.add("readwrite", 1, "Accepted: every node writes.", flags="fast", any_time=True)
def readonly(call: RedisCall) -> None:
    """READONLY | READWRITE."""
    call.reply(Simple("OK"))


def _row(one: RedisCommand) -> Reply:
    first, last, step = one.keys
    flags = [Simple(flag) for flag in one.flags if flag != "in_subscribed"]
    return [one.name, one.arity, flags, first, last, step, [], [], [], []]


def _docs(one: RedisCommand) -> Reply:
    docs: dict[str, Reply] = {"summary": one.summary, "since": "1.0.0", "group": one.group}
    if one.limits:
        docs["history"] = [["dsectl", one.limits]]
    return docs


def _shares(call: RedisCall) -> list[tuple[str, str, int, int, int]]:
    """The live nodes with a gateway, and the first and last slot of the share of each."""
    peers = call.session.gateway.peers()
    share = SLOTS / max(1, len(peers))
    return [
        (name, *at, round(place * share), round((place + 1) * share) - 1)
        for place, (name, at) in enumerate(peers.items())
    ]


def _node_id(name: str) -> str:
    """Forty hexadecimal digits, as the ids of a cluster of Redis have; not a secret."""
    return sha1(name.encode(), usedforsecurity=False).hexdigest()
