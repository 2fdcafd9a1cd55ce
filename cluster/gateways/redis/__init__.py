"""The Redis gateway: RESP2 and RESP3 for redis-cli, redis-py and whatever else speaks them. docs/redis.md has the table
of commands, which is the table of `cluster.gateways.redis.commands`.
"""
