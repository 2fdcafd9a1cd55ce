"""Ballots: one value for one numbered slot, decided by a majority that keeps its promises on disk."""

from cluster.ballot.acceptor import Accepted, Acceptor, AcceptorState, Ballot, Promised
from cluster.ballot.proposer import Phase, Proposer, majority

__all__ = ["Accepted", "Acceptor", "AcceptorState", "Ballot", "Phase", "Promised", "Proposer", "majority"]
