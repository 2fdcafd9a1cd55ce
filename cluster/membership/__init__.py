"""SWIM with Lifeguard: who is alive, and what the members announce."""

from cluster.membership.member import Candidate, Identity, MemberView
from cluster.membership.membership import Membership

__all__ = ["Candidate", "Identity", "MemberView", "Membership"]
