"""SWIM with Lifeguard: who is alive, and what the members announce."""

from cluster.membership.member import MemberView, OwnIdentity, SeedMember
from cluster.membership.membership import Membership

__all__ = ["MemberView", "Membership", "OwnIdentity", "SeedMember"]
