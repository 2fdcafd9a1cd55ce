"""Gateways: other people's protocols, spoken by every node on a port of its own.

A gateway reads a protocol without touching a socket, turns it into this node's own operations, keeps the order of each
connection, has its own password, and refuses with a sentence what cannot be honest here. What it needs of the node is
handed to it (`cluster.gateways.host`), so that it runs in simulation as it does on a machine.
"""
