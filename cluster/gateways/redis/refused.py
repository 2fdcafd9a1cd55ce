"""What Redis has and this gateway refuses, with the reason: it would need what a quorum of equal nodes cannot give, or
a type that does not merge. docs/redis.md has the table.
"""

from cluster.gateways.redis.table import Refused

TWO_WRITERS = "two nodes may both find the condition true while they cannot reach each other, so it is no lock"
ONE_KEY_ALONE = "a change covers one key: nothing makes several change together"
NO_TYPE = "there are strings, counters and sets, the types whose copies merge without losing anything"
REFUSALS = (
    Refused(("setnx", "msetnx"), TWO_WRITERS),
    Refused(
        ("multi", "exec", "discard", "watch", "unwatch"),
        f"{ONE_KEY_ALONE}. Use a pipeline without a transaction (redis-py: pipeline(transaction=False))",
    ),
    Refused(
        ("eval", "evalsha", "eval_ro", "evalsha_ro", "script", "fcall", "fcall_ro", "function"),
        f"a script reads and writes as if nobody else did, and {TWO_WRITERS}",
    ),
    Refused(
        ("blpop", "brpop", "blmove", "blmpop", "brpoplpush", "bzpopmin", "bzpopmax", "bzmpop"),
        "two clients could be given the same item; there are no lists to wait for",
    ),
    Refused(
        ("lpush", "rpush", "lpop", "rpop", "llen", "lrange", "lindex", "lset", "lrem", "ltrim", "linsert", "lpos",
         "lmove", "lmpop", "rpoplpush", "lpushx", "rpushx"),
        f"no lists: {NO_TYPE}",
    ),
    Refused(
        ("hset", "hget", "hmset", "hmget", "hgetall", "hdel", "hexists", "hincrby", "hincrbyfloat", "hkeys", "hvals",
         "hlen", "hscan", "hsetnx", "hstrlen", "hrandfield"),
        f"no hashes: {NO_TYPE}. A key for each field does it",
    ),
    Refused(
        ("zadd", "zrem", "zrange", "zrangebyscore", "zrevrange", "zrank", "zscore", "zcard", "zcount", "zincrby",
         "zpopmin", "zpopmax", "zscan"),
        f"no sorted sets: {NO_TYPE}",
    ),
    Refused(
        ("xadd", "xread", "xrange", "xrevrange", "xlen", "xgroup", "xreadgroup", "xack", "xdel", "xtrim"),
        "no streams: an order needs one sequencer. PUBLISH reaches those who listen",
    ),
    Refused(("pfadd", "pfcount", "pfmerge", "geoadd", "geopos", "geodist", "geosearch"), NO_TYPE),
    Refused(
        ("setbit", "getbit", "bitcount", "bitop", "bitpos", "bitfield", "lcs"),
        f"bits of a value are set by reading it, and the last writer of the whole value wins. {NO_TYPE.capitalize()}",
    ),
    Refused(
        ("incrbyfloat",),
        "a sum of fractions depends on the order in which copies merge; count in the smallest unit with INCRBY",
    ),
    Refused(
        ("spop", "smove", "srandmember"),
        "two nodes may take the same member at once; SMEMBERS reads and SREM removes",
    ),
    Refused(
        ("sunion", "sinter", "sdiff", "sunionstore", "sinterstore", "sdiffstore", "sintercard"),
        f"{ONE_KEY_ALONE}, nor does one instant show several; read each with SMEMBERS",
    ),
    Refused(("rename", "renamenx", "copy", "move", "swapdb", "migrate"), ONE_KEY_ALONE),
    Refused(("getdel",), "nothing takes a value so that no other reader gets it; GET and then DEL"),
    Refused(
        ("wait", "waitaof"),
        "each OK already says that W owners hold the write; `up --replication N/R/W` and --durability decide how many",
    ),
    Refused(
        ("config|set", "config|rewrite"), "settings are those of `dsectl up`, the same for all nodes"
    ),
    Refused(
        ("client|kill", "client|pause", "client|unpause", "client|tracking", "client|caching", "client|unblock",
         "client|getredir", "client|trackinginfo"),
        "connections end with their programs; keys are not tracked",
    ),
    Refused(
        ("save", "bgsave", "bgrewriteaof", "lastsave", "shutdown", "replicaof", "slaveof", "failover", "debug",
         "monitor", "sync", "psync", "slowlog", "latency", "memory", "module", "acl"),
        "the nodes are run by `dsectl`: see `dsectl help`",
    ),
    Refused(("spublish", "ssubscribe", "sunsubscribe", "pubsub|shardchannels", "pubsub|shardnumsub"),
            "there are no shards of channels: PUBLISH and SUBSCRIBE reach all nodes"),
    Refused(("sort", "sort_ro", "object", "dump", "restore"), "what a value is stored as is not shown"),
)  # fmt: skip
