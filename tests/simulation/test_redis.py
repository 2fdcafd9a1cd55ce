"""Clients of the Redis gateway under seeds, while nodes are killed, stopped and cut off: what was acknowledged is
counted once, members stay, and while all is well a pipeline sees its own writes in order."""

from random import Random

from cluster.simulation.fleet import Fleet
from tests.gateways.redis.simulated import RedisError, SimulatedRedis

TURNS = 12


def test_counts_members_and_order_survive_faults(seed: int) -> None:
    with Fleet(seed, 5, gateways=["redis"]) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(seed)
        clients = {name: SimulatedRedis(fleet, name, name=f"c-{name}") for name in ("n1", "n2")}
        sure = maybe = 0
        added: set[str] = set()
        for turn in range(TURNS):
            victim = random.choice(("n3", "n4", "n5"))
            how = random.choice(("kill", "pause", "partition", ""))
            if how == "partition":
                fleet.fault("partition", groups=[[victim], [name for name in fleet.names if name != victim]])
            elif how:
                getattr(fleet, how)(victim)
            else:  # all is well only once the links that were cut in the turn before have carried something again
                fleet.until(fleet.settled, timeout=60.0)
                fleet.world.run_for(1.0)
            for name, client in clients.items():
                member = f"{name}-{turn}"
                client.send(
                    ["INCR", "n"],
                    ["SADD", "s", member],
                    ["SET", member, turn],
                    ["GET", member],
                    ["APPEND", member, "x"],
                    ["GET", member],
                )
            for name, client in clients.items():
                counted, new, set_, read, longer, reread = client.take(6, timeout=30.0)
                sure, maybe = sure + isinstance(counted, int), maybe + isinstance(counted, RedisError)
                if not isinstance(new, RedisError):
                    added.add(f"{name}-{turn}")
                if not how:  # else a fallback may have the write, and owners that have not got it are read
                    assert [set_, read, longer, reread] == ["OK", str(turn), len(str(turn)) + 1, f"{turn}x"]
            if how == "pause":
                fleet.resume(victim)
            elif how == "kill":
                fleet.start(victim)
            fleet.heal()
            fleet.until(fleet.converged)
        fleet.until(fleet.settled, timeout=60.0)
        for name in fleet.names:
            client = SimulatedRedis(fleet, name, name=f"last-{name}")
            assert sure <= int(client.ask("GET", "n")) <= sure + maybe
            assert added <= set(client.ask("SMEMBERS", "s"))
        assert sure > TURNS
