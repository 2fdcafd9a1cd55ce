"""Simulated clients of a simulated fleet, for scenarios."""

from cluster.client.locate import Location, addresses
from cluster.simulation.client import ClientOperation, SimulatedClient
from cluster.simulation.fleet import SECRET, Fleet

CLIENT = "client"


def client_of(fleet: Fleet, name: str = CLIENT, *, spread: bool = True) -> SimulatedClient:
    """A client that knows all nodes, connected to each that runs."""
    where = Location(fleet.entry.cluster, SECRET, addresses(fleet.entry), fleet.entry)
    client = SimulatedClient(fleet.world.env(name), where, spread=spread)
    client.start()
    fleet.until(lambda: client.router.ready)
    fleet.world.run_for(0.1)
    return client


def all_ended(fleet: Fleet, pending: list[ClientOperation], timeout: float = 10.0) -> None:
    """Wait until each of these has an outcome."""
    fleet.until(lambda: all(one.outcome is not None for one in pending), timeout)
