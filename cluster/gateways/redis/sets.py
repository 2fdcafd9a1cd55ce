"""Sets: what is added anywhere stays, unless whoever removed it had seen it."""

from cluster.gateways.redis.keyed import read_items, update
from cluster.gateways.redis.resp import Members
from cluster.gateways.redis.session import RedisCall
from cluster.gateways.redis.table import ONE_KEY, CommandTable
from cluster.wire.kv import AddItems, RemoveItems

SETS = CommandTable("set")


@SETS.add("sadd", -3, "Adds members to a set.", ONE_KEY, "write denyoom fast")
def sadd(call: RedisCall) -> None:
    """SADD key member…: how many were new."""
    update(call, call.words[1], AddItems(call.words[2:]), lambda done: call.reply(done.changed))


@SETS.add("srem", -3, "Removes members from a set.", ONE_KEY, "write fast",
          limits="What is added elsewhere meanwhile stays.")  # fmt: skip
def srem(call: RedisCall) -> None:
    """SREM key member…: how many were removed."""
    update(call, call.words[1], RemoveItems(call.words[2:]), lambda done: call.reply(done.changed), strict=True)


@SETS.add("smembers", 2, "The members of a set.", ONE_KEY, "readonly")
def smembers(call: RedisCall) -> None:
    """SMEMBERS key."""
    read_items(call, call.words[1], lambda items: call.reply(Members(items)))


@SETS.add("sismember", 3, "Whether a set has a member.", ONE_KEY, "readonly fast")
def sismember(call: RedisCall) -> None:
    """SISMEMBER key member."""
    read_items(call, call.words[1], lambda items: call.reply(int(call.words[2] in items)))


@SETS.add("smismember", -3, "Which members a set has.", ONE_KEY, "readonly fast")
def smismember(call: RedisCall) -> None:
    """SMISMEMBER key member…."""
    read_items(call, call.words[1], lambda items: call.reply([int(word in items) for word in call.words[2:]]))


@SETS.add("scard", 2, "How many members a set has.", ONE_KEY, "readonly fast")
def scard(call: RedisCall) -> None:
    """SCARD key."""
    read_items(call, call.words[1], lambda items: call.reply(len(items)))
